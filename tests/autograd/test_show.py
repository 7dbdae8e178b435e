"""Tensors in notebooks: the facts, the numbers, nothing that could break a page, and little work for large arrays."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from minicv.autograd import Tensor
from minicv.autograd.elementwise import tanh
from minicv.autograd.show import SAMPLE, _sampled
from minicv.nn import Parameter


class Reader(HTMLParser):
    """Cells, their hints, all text, and the elements that were opened and closed."""

    def __init__(self, page):
        super().__init__()
        self.cells, self.hints, self.text, self.open = [], [], "", []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in ("div", "strong", "br", "table", "caption", "tbody", "tr", "td")
        if tag != "br":
            self.open.append(tag)
        if tag == "td":
            self.hints.append(dict(attrs)["title"])
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open[-1:] == ["td"]:
            self.cells[-1] += data


def shown(x):
    return Reader(x._repr_html_())


def test_a_leaf_tells_shape_type_values_and_gradient():
    x = Tensor([[1.0, -2.0], [0.5, 4.0]], requires_grad=True)
    (x * x).sum().backward()
    page = shown(x)
    assert "Tensor (2, 2), float32, requires a gradient" in page.text
    assert "values from -2 to 4, mean 0.875" in page.text and "gradient from -4 to 8, mean 1.75" in page.text
    assert page.cells == ["1", "-2", "0.5", "4"]
    assert page.hints == ["1.0, gradient 2", "-2.0, gradient -4", "0.5, gradient 1", "4.0, gradient 8"]


def test_a_computed_tensor_names_its_operation_and_a_subclass_itself():
    x = Tensor(np.ones(3), requires_grad=True)
    assert "Tensor (3,), float64, made by tanh" in shown(tanh(x)).text
    assert shown(Parameter(np.zeros(2, np.float32))).text.startswith("Parameter (2,), float32, requires a gradient")


def test_colors_tell_the_sign_and_the_size_and_leave_the_text_alone():
    page = Tensor([1.0, -2.0, 0.0, np.nan, np.inf])._repr_html_()
    cells = re.findall(r"background:rgba\(([\d,]+),([\d.]+)\);color:inherit", page)
    assert cells == [("0,114,178", "0.25"), ("213,94,0", "0.50"), ("0,114,178", "0.00"), ("213,94,0", "0.00"),
                     ("0,114,178", "0.00")]
    assert "values from -2 to 1, mean -0.3333, 2 not finite" in page


@pytest.mark.parametrize("values, cells", [
    (np.float32(2.5), ["2.5"]), (np.arange(3), ["0", "1", "2"]), (np.array([True, False]), ["True", "False"]),
    (np.zeros((0, 3)), []), (np.full(2, np.nan), ["nan", "nan"]), (np.arange(4.0).reshape(1, 1, 2, 2), list("0123"))])
def test_all_kinds_are_shown(values, cells):
    assert shown(Tensor(values)).cells == cells


def test_of_a_larger_tensor_a_corner_is_shown():
    page = shown(Tensor(np.arange(2 * 20 * 30.0).reshape(2, 20, 30)))
    assert len(page.cells) == 64 and page.cells[8] == "30"
    assert "x[0]: 8 of 20 rows, 8 of 30 columns" in page.text


@pytest.mark.parametrize("shape", [(10**6, 10**6), (10**12,), (3,) * 26])
def test_a_huge_tensor_is_hardly_touched(shape):
    """These would fill terabytes if they were read."""
    x = Tensor.wrap(np.broadcast_to(np.float32(1), shape))
    assert 100 < _sampled(x.data).size <= SAMPLE
    assert "elements in a regular grid)" in shown(x).text


def test_a_page_is_harmless_whatever_the_class_is_called():
    class Odd(Tensor):
        pass
    Odd.__name__ = "<script>"
    assert "<script>" not in Odd([1.0])._repr_html_() and "&lt;script&gt;" in Odd([1.0])._repr_html_()
