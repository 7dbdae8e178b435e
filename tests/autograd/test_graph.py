"""Pictures of the graph: valid XML with every op and leaf, values and gradients where known, no overlaps, limits."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from minicv.autograd import Tensor, grad, keep_values
from minicv.autograd.elementwise import tanh
from minicv.autograd.graph import graph, retain_grad
from minicv.autograd.shape import concat
from minicv.errors import ArgError, GraphError

SVG = "{http://www.w3.org/2000/svg}"


def leaf(values):
    return Tensor(np.asarray(values, np.float32), requires_grad=True)


def boxes(svg):
    """[(lines of text, x, y, width, height)] in drawing order."""
    root = ElementTree.fromstring(svg)
    rects = [[float(r.get(k)) for k in ("x", "y", "width", "height")] for r in root.iter(f"{SVG}rect")]
    texts = [[t.text for t in text.iter(f"{SVG}tspan")] for text in root.iter(f"{SVG}text")]
    return [(lines, *rect) for lines, rect in zip(texts, rects, strict=True)]


def layer_of_network(x, w, b):
    return (tanh(x @ w + b) * 2.0).sum()


@pytest.fixture
def parts():
    return Tensor(np.float32([[1, 2]])), leaf([[0.5, -1], [2, 1]]), leaf([0.1, 0.2])


def test_every_op_and_input_is_drawn_with_its_name_and_shape(parts):
    x, w, b = parts
    lines = [" | ".join(lines) for lines, *_ in boxes(graph(layer_of_network(x, w, b), names={"x": x, "w": w, "b": b}))]
    for expected in ("x | (1, 2) | 1, 2", "w | (2, 2)", "b | (2,) | 0.1, 0.2", "matmul | (1, 2)", "add | (1, 2)",
                     "tanh | (1, 2)", "mul 2 | (1, 2)", "sum | scalar"):
        assert any(line.startswith(expected) for line in lines), (expected, lines)
    assert len(lines) == 8


def test_there_is_one_edge_per_use_and_time_runs_to_the_right(parts):
    y = layer_of_network(*parts)
    root = ElementTree.fromstring(graph(y))
    assert len(list(root.iter(f"{SVG}path"))) == 7
    for path in root.iter(f"{SVG}path"):
        start, = re.findall(r"^M([\d.]+) ", path.get("d"))
        stop, = re.findall(r"H([\d.]+)(?:m|$)", path.get("d"))
        assert float(start) < float(stop)
    x = leaf([2.0])
    assert graph(x * x).count("<path") == 2


def test_values_and_gradients_appear_when_they_are_known(parts):
    with keep_values():
        h = tanh(parts[0] @ parts[1])
        y = (h * h).sum()
    retain_grad(h)
    y.backward(retain_graph=True)
    lines = {lines[0]: lines[1:] for lines, *_ in boxes(graph(y, names={"w": parts[1]}))}
    assert lines["sum"] == ["scalar", f"{y.item():.4g}"]
    assert lines["tanh"][-1] == "grad " + ", ".join(f"{2 * v:.4g}" for v in h.data.ravel().tolist())
    assert lines["w"][-1].startswith("grad ") and len(lines["w"]) == 3
    assert lines["matmul"][1] == ", ".join(f"{v:.4g}" for v in (parts[0] @ parts[1]).data.ravel().tolist())


def test_without_keep_values_only_leaves_show_values(parts):
    lines = {lines[0]: lines[1:] for lines, *_ in boxes(graph(layer_of_network(*parts)))}
    assert lines["tanh"] == ["(1, 2)"]


def test_large_tensors_show_their_shape_and_dtype_only():
    x = Tensor(np.ones((8, 8)), requires_grad=True)
    assert boxes(graph(x * 2.0))[0][0] == ["x1", "(8, 8) float64"]


def _random_graph(seed):
    rng = np.random.default_rng(seed)
    made = [leaf([1.0, 2.0]) for _ in range(3)]
    for _ in range(25):
        a, b = (made[i] for i in rng.integers(0, len(made), 2))
        made.append(a * b if rng.random() < 0.5 else tanh(a))
    return concat(*made).sum()


@pytest.mark.parametrize("seed", range(5))
def test_boxes_keep_a_distance_and_stay_inside(seed):
    svg = graph(_random_graph(seed))
    root, drawn = ElementTree.fromstring(svg), boxes(svg)
    width, height = float(root.get("width")), float(root.get("height"))
    for i, (_, x, y, w, h) in enumerate(drawn):
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
        for _, x2, y2, w2, h2 in drawn[:i]:
            assert x + w + 10 <= x2 or x2 + w2 + 10 <= x or y + h + 10 <= y2 or y2 + h2 + 10 <= y


def test_the_same_graph_gives_the_same_bytes():
    assert graph(_random_graph(1)) == graph(_random_graph(1))


def test_colors_follow_the_page_and_there_is_an_alternative_text(parts):
    svg = graph(layer_of_network(*parts))
    assert 'stroke="currentColor"' in svg and not re.search(r"#[0-9a-fA-F]{3}|rgb\(|black|white", svg)
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and root.get("aria-label") == root.find(f"{SVG}title").text
    assert "5 operations on 3 inputs" in root.get("aria-label")


def test_names_are_escaped():
    x = leaf([1.0])
    svg = graph(x * 2.0, names={'<script>"&\x00': x})
    assert "<script>" not in svg
    assert boxes(svg)[0][0][0] == '<script>"&?'


def test_limits_and_impossible_pictures():
    x = leaf([1.0])
    y = x
    for _ in range(600):
        y = y + 1.0
    with pytest.raises(ArgError, match="more than 500 boxes"):
        graph(y)
    assert graph(y, max_nodes=601).count("<rect") == 601
    with pytest.raises(GraphError, match="leaf"):
        graph(x)
    z = x * x
    z.backward()
    with pytest.raises(GraphError, match="freed.*retain_graph=True"):
        graph(z)


def test_retain_grad_keeps_the_gradient_of_the_latest_backward():
    x = leaf([3.0])
    y = x * x
    retain_grad(y)
    (y * y).backward()
    assert y.grad.data.tolist() == [18] and x.grad.data.tolist() == [108]
    retain_grad(x)
    with pytest.raises(GraphError, match="retain_grad"):
        retain_grad(Tensor([1.0]))


def test_grad_leaves_a_retained_gradient_alone():
    x = leaf([3.0])
    y = x * x
    retain_grad(y)
    grad(y * y, [x])
    assert y.grad is None


def test_a_notebook_shows_the_text_as_a_picture(parts):
    svg = graph(layer_of_network(*parts))
    assert isinstance(svg, str) and svg._repr_svg_() == svg and type(svg._repr_svg_()) is str
