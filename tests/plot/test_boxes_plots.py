"""Boxes over pictures. Proved: where each outline is, captions, colours by class, truth dashed, nothing drawn for
nothing, names checked; the matrix of costs carries its numbers and frames the matches."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from minicv import plot  # noqa: E402
from minicv.errors import BoxError, ShapeError  # noqa: E402
from minicv.geometry import Detections, Targets  # noqa: E402

pytestmark = pytest.mark.ch4
IMAGE = np.zeros((3, 40, 50))
FOUND = Detections([[2, 3, 12, 9], [5, 5, 30, 35]], [1, 0], [0.5, 0.9])
TRUE = Targets([[2, 3, 12, 9]], [1])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def outlines(ax):
    return [[*p.get_xy(), p.get_x() + p.get_width(), p.get_y() + p.get_height()] for p in ax.patches]


@pytest.mark.parametrize("rows", [FOUND, TRUE, FOUND.boxes, Detections.empty(), Targets.empty()])
def test_every_box_is_where_it_should_be(rows):
    boxes = getattr(rows, "boxes", rows)
    for image in (IMAGE, None):
        ax = plot.show_boxes(image, rows)
        assert outlines(ax) == boxes.tolist() and len(ax.texts) == (len(boxes) if rows is not FOUND.boxes else 0)
        assert ax.get_ylim()[0] > ax.get_ylim()[1]                                  # y goes down, as in pictures


def test_boxes_join_the_axes_that_are_given():
    ax = plot.show_boxes(IMAGE, TRUE, color="black")
    limits = ax.axis()
    assert plot.show_boxes(None, FOUND, ax=ax) is ax and len(ax.patches) == 3 and ax.axis() == limits
    assert [p.get_linestyle() for p in ax.patches] == ["--", "-", "-"]
    assert ax.patches[0].get_edgecolor() == (0, 0, 0, 1)


def test_captions_and_colours_tell_the_class():
    ax = plot.show_boxes(IMAGE, FOUND, names=["disc", "square"])
    assert [t.get_text() for t in ax.texts] == ["disc 0.90", "square 0.50"]
    colors = [matplotlib.colors.to_hex(p.get_edgecolor()) for p in ax.patches]
    assert colors == [c.lower() for c in plot.PALETTE[:2]]
    assert plot.show_boxes(IMAGE, TRUE).texts[0].get_text() == "1"


def test_costs_show_numbers_and_frame_the_matches():
    costs = np.array([[0.2, 0.9], [0.3, 0.1], [0.4, 0.8]])
    ax = plot.plot_costs(costs, ([0, 1], [0, 1]), rows=["p", "q", "r"], columns=["a", "b"])
    shown = {(t.get_position(), t.get_text()) for t in ax.texts}
    assert shown == {((j, i), f"{costs[i, j]:.3g}") for i in range(3) for j in range(2)}
    assert [(p.get_x() + 0.46, p.get_y() + 0.46) for p in ax.patches] == [(0, 0), (1, 1)]
    assert not plot.plot_costs(costs).patches


def test_text_stays_readable_on_every_colour():
    assert plot.boxes._ink("white") == plot.boxes._ink("#E69F00") == "black"
    assert plot.boxes._ink("black") == plot.boxes._ink("#0072B2") == "white"


@pytest.mark.parametrize("call, error, text", [
    (lambda: plot.show_boxes(IMAGE, [[5, 0, 1, 1]]), BoxError, r"show_boxes: rows\[0\]"),
    (lambda: plot.show_boxes(IMAGE, FOUND, names=["a"]), ShapeError, "names has 1 entries, expected at least 2"),
    (lambda: plot.plot_costs(np.zeros((0, 2))), ShapeError, "costs has shape"),
    (lambda: plot.plot_costs(np.zeros((1, 2)), rows=["a", "b"]), ShapeError, "have 2 and 2 names, expected 1 and 2"),
])
def test_malformed_input_is_refused_before_anything_is_drawn(call, error, text):
    with pytest.raises(error, match=text):
        call()
    assert not plt.get_fignums()
