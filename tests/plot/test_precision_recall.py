"""The plot of a precision-recall curve: the data arrive unchanged, and the drawn area is the average precision."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from minicv.errors import ArgError, ShapeError  # noqa: E402
from minicv.metrics import average_precision, precision_recall  # noqa: E402
from minicv.plot import plot_precision_recall  # noqa: E402

pytestmark = pytest.mark.ch4
CURVE = precision_recall(np.array([1, 1, 0, 1, 0, 1, 0, 0], bool), np.linspace(0.9, 0.2, 8), 5)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("interpolation", ["area", "interp-all", "11pt", "101pt"])
def test_the_drawn_area_is_the_average_precision(interpolation):
    ax = plt.figure().add_subplot()
    assert plot_precision_recall(CURVE.precision, CURVE.recall, interpolation=interpolation, ax=ax) is ax
    points, drawn = ax.get_lines()
    assert (points.get_xdata() == CURVE.recall).all() and (points.get_ydata() == CURVE.precision).all()
    x, y = np.asarray(drawn.get_xdata()), np.asarray(drawn.get_ydata())
    area = (np.diff(x) * y[1:]).sum() if interpolation in ("area", "interp-all") else y.mean()
    expected = average_precision(CURVE.precision, CURVE.recall, interpolation=interpolation)
    assert area == pytest.approx(expected) and f"AP = {expected:.4f}" in ax.get_legend().get_texts()[1].get_text()


def test_a_curve_alone_or_without_detections():
    before = dict(matplotlib.rcParams)
    assert len(plot_precision_recall(CURVE.precision, CURVE.recall, interpolation=None, label="a").get_lines()) == 1
    assert len(plot_precision_recall([], []).get_lines()) == 1
    assert dict(matplotlib.rcParams) == before


def test_wrong_input_is_refused():
    with pytest.raises(ShapeError, match="precision and recall have shapes"):
        plot_precision_recall([1, 1], [1])
    with pytest.raises(ArgError, match="interpolation is 'x'"):
        plot_precision_recall([1], [1], interpolation="x")
