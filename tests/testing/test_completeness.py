"""Nothing differentiable escapes the registry: a new op or exported function without cases fails here."""

import pkgutil
from importlib import import_module

import pytest

import minicv.autograd
import minicv.functional as F
from minicv.autograd import Op
from minicv.testing.registry import specs

ELSEWHERE = {               # exported functions that are no function of arrays to one array, and where they are tested
    "argmax": "integers; tests/autograd/test_reduce.py",
    "argmin": "integers; tests/autograd/test_reduce.py",
    "attention_with_weights": "two results, both under their own names",
    "max_pool2d_with_indices": "two results; max_pool2d has the cases, the indices tests/autograd/test_pool.py",
    "correlate2d": "conv2d without the bias, under whose name the cases are",
    "cast": "changes the dtype, which the generated tests hold fixed; tests/autograd/test_engine.py",
}


def own_ops():
    for info in pkgutil.iter_modules(minicv.autograd.__path__, "minicv.autograd."):
        import_module(info.name)
    import_module("minicv.nn")
    return {op.name: op for op in Op.registry.values() if op.__module__.startswith("minicv.")}


def named_in_specs():
    return {name for label, spec in specs().items() for name in (label, getattr(spec.fn, "__name__", label))}


def test_every_exported_function_has_cases():
    assert sorted(set(F.__all__) - named_in_specs() - set(ELSEWHERE)) == []


def test_every_op_of_the_library_has_cases():
    missing = {name for name in own_ops() if not name.startswith("_")} - named_in_specs() - set(ELSEWHERE)
    assert sorted(missing) == []


def test_every_exemption_is_still_needed():
    assert set(ELSEWHERE) <= {*F.__all__, *own_ops()} and not set(ELSEWHERE) & named_in_specs()


@pytest.mark.parametrize("name", sorted(own_ops()))
def test_an_op_says_what_it_does(name):
    assert own_ops()[name].__doc__
