"""Switches of the engine: is the graph recorded, are values checked. One set per thread.

All are context managers that restore the earlier state on the way out, also after an exception, and
decorators for plain functions and for generators (a decorated generator switches only while it runs).
"""

import functools
import inspect
import threading


class _State(threading.local):
    recording = True        # ops on tensors that require a gradient create nodes
    anomaly = False         # every result and gradient is checked for NaN and infinity
    keep_values = False     # nodes remember their result, for pictures of the graph
    observer = None         # called as observer(op, inputs, settings, result) after every op on Tensors
    watched = False         # any of the last three is on
    mode = "recording"      # or "silent" or "watched": all that arithmetic has to look up

    def switch(self, name, value):
        """Set one of the above; returns what it was."""
        earlier = getattr(self, name)
        setattr(self, name, value)
        self.watched = self.anomaly or self.keep_values or self.observer is not None
        self.mode = "watched" if self.watched else "recording" if self.recording else "silent"
        return earlier


state = _State()


class _Mode:
    """Set one attribute of `state` for the length of a `with` block or of a function call."""

    attribute, value = "recording", True

    def __enter__(self):
        # One object may be entered more than once (as a decorator of a recursive function).
        self.__dict__.setdefault("earlier", []).append(state.switch(self.attribute, self.value))
        return self

    def __exit__(self, *exception):
        state.switch(self.attribute, self.earlier.pop())

    def __call__(self, function):
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with type(self)():
                return function(*args, **kwargs)
        return wrapped

    def _wrap_generator(self, function):
        def switched(step, *args):
            with type(self)():
                return step(*args)

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            items = function(*args, **kwargs)
            try:
                item = switched(next, items)
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        switched(items.close)
                        raise
                    except BaseException as e:
                        item = switched(items.throw, e)
                    else:
                        item = switched(items.send, sent)
            except StopIteration as stop:
                return stop.value
        return wrapped


class no_grad(_Mode):
    """Inside, no graph is recorded: results never require a gradient, parameters may be written."""

    attribute, value = "recording", False


class enable_grad(_Mode):
    """Inside, the graph is recorded again (to be used within `no_grad`)."""

    attribute, value = "recording", True


class detect_anomaly(_Mode):
    """Inside, the first op that makes a NaN or infinity raises `DivergenceError`.

    Forward: the error names the op. Backward: it also shows where in the program the op was called.
    Slow; switch it on to find a fault.
    """

    attribute, value = "anomaly", True


class keep_values(_Mode):
    """Inside, the graph keeps its intermediate values, so that `Tensor.graph()` can show them."""

    attribute, value = "keep_values", True


class observe(_Mode):
    """``with observe(function):`` call ``function(op, inputs, settings, result)`` after each op on Tensors.

    Serves what looks at a computation from outside: counting operations, walking over memory layouts.
    Observers nest; only the innermost is called.
    """

    attribute = "observer"

    def __init__(self, function):
        self.value = function

    def __call__(self, function):
        raise TypeError("observe is used as `with observe(function):`, not as a decorator")


def is_recording():
    """True when ops on tensors that require a gradient are recorded in this thread."""
    return state.recording
