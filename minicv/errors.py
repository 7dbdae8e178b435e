"""The exceptions of minicv.

Every class derives from `MinicvError` *and* from the built-in a Python user would expect, so that
both ``except MinicvError`` and ``except ValueError`` work. Messages follow one pattern:

    "<function>: <argument> is <got>, expected <what>[; <hint>]"
"""


class MinicvError(Exception):
    """Base of all errors that minicv raises on purpose."""


class ShapeError(MinicvError, ValueError):
    """An array has the wrong rank or size."""


class DTypeError(MinicvError, TypeError):
    """An array or argument has the wrong type."""


class ArgError(MinicvError, ValueError):
    """A setting is outside its allowed values."""


class GraphError(MinicvError, RuntimeError):
    """The graph of operations cannot be differentiated as asked."""


class BoxError(MinicvError, ValueError):
    """A bounding box is inverted, not finite or otherwise degenerate."""


class DataFormatError(MinicvError, ValueError):
    """A file does not follow its format."""


class UnsafeFileError(DataFormatError):
    """A file asks for something that is never done, such as running code or leaving its folder."""


class LimitError(DataFormatError):
    """A file or request is larger than the limit set for it."""


class CheckpointError(MinicvError, RuntimeError):
    """A checkpoint cannot be written, read or applied."""


class DivergenceError(MinicvError, ArithmeticError):
    """A value became NaN or infinite."""


class ConcurrencyError(MinicvError, RuntimeError):
    """Two writers met on one resource."""


class MissingExtraError(MinicvError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class DataMissingError(MinicvError, FileNotFoundError):
    """A data set is not where it was looked for; the message says how to get it."""


class GradientError(MinicvError, AssertionError):
    """A gradient check failed."""
