"""Wrong requests: the error class that means "exit status 2", and the nearest right spelling."""

import difflib

from ..errors import ArgError


class UsageError(ArgError):
    """The caller asked for something that does not exist or is not allowed; nothing has run yet."""


def nearest(name, names):
    """"; did you mean 'adam'?" when one of `names` is close to `name`, else an empty string."""
    close = difflib.get_close_matches(str(name), [str(n) for n in names], n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def choose(function, argument, value, names, *, what="one of {}"):
    """Return `value` when it is one of `names`, else raise a UsageError that suggests a name."""
    if value in names:
        return value
    hint = nearest(value, names)
    expected = what.format(", ".join(map(str, names))) if not hint or len(names) < 8 else "a known name"
    raise UsageError(f"{function}: {argument} is {value!r}, expected {expected}{hint}")
