"""Figures: what is drawn and where, never how it looks.

Proved: arrays in and Axes out; an Axes that is given is used; global settings stay untouched; data arrives
in the artists unchanged; malformed input is refused with a message.
"""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from minicv import plot  # noqa: E402
from minicv.errors import ArgError, ShapeError  # noqa: E402
from minicv.plot.curves import running_mean  # noqa: E402


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def bowl(points):
    return points[:, 0] ** 2 + 10 * points[:, 1] ** 2


CALLS = {
    "curves": lambda ax: plot.plot_curves({"a": [3, 2, 1], "b": [1, 2, 3]}, ax=ax),
    "contours": lambda ax: plot.plot_contours(bowl, (-2, 2), (-1, 1), resolution=20, ax=ax),
    "path": lambda ax: plot.plot_path([[0, 1], [1, 2]], label="p", ax=ax),
    "image": lambda ax: plot.show_image(np.zeros((3, 4, 5)), ax=ax),
    "images": lambda ax: plot.show_images(np.zeros((5, 3, 4, 5)), titles=list("abcde"), ax=ax),
    "filters": lambda ax: plot.show_filters(np.ones((4, 3, 3, 3)), ax=ax),
    "confusion": lambda ax: plot.plot_confusion(np.eye(3, dtype=int), ax=ax),
    "misclassified": lambda ax: plot.show_misclassified(np.zeros((2, 1, 4, 4)), [0, 1], [0, 0], ax=ax),
}


@pytest.mark.parametrize("name", CALLS)
def test_plots_return_the_axes_they_were_given_or_a_new_one(name):
    ax = plt.figure().add_subplot()
    assert CALLS[name](ax) is ax and ax.has_data() | bool(ax.images)
    assert CALLS[name](None) is not ax


@pytest.mark.parametrize("name", CALLS)
def test_plots_leave_the_global_settings_alone(name):
    before = dict(matplotlib.rcParams)
    CALLS[name](None)
    assert dict(matplotlib.rcParams) == before


def test_the_style_holds_only_inside_its_block():
    before = dict(matplotlib.rcParams)
    with plot.figure_style():
        assert matplotlib.rcParams["axes.prop_cycle"].by_key()["color"] == list(plot.PALETTE)
    assert dict(matplotlib.rcParams) == before


def test_curves_carry_their_data_labels_and_axis_names():
    ax = plot.plot_curves({"sgd": [3, 2, 1], "adam": [1, 0.5]}, xlabel="epoch", ylabel="error", log=True)
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[0, 1], [1, 0.5]])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["sgd", "adam"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("epoch", "error", "log")
    assert ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle()


def test_seeds_become_a_mean_and_a_band():
    ax = plot.plot_curves({"a": [[1, 2], [3, 6]]})
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [2, 4])
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 1 and band[:, 1].max() == 6


def test_running_mean_equals_its_definition():
    values = np.random.default_rng(0).normal(size=(2, 9))
    expected = [[np.mean(row[max(0, t - 3):t + 1]) for t in range(9)] for row in values]
    np.testing.assert_allclose(running_mean(values, 4), expected, rtol=1e-12)
    np.testing.assert_allclose(running_mean(values, 1), values, rtol=1e-12)


def test_contours_see_the_function_at_the_right_places():
    seen = []
    ax = plot.plot_contours(lambda p: seen.append(p) or bowl(p), (-2, 2), (-1, 1), levels=[0.5, 1.0], resolution=41)
    assert seen[0].shape == (41 * 41, 2) and (ax.get_xlim(), ax.get_ylim()) == ((-2, 2), (-1, 1))
    inner = ax.collections[0].get_paths()[1].vertices                  # x^2 + 10 y^2 = 1
    np.testing.assert_allclose(bowl(inner), 1.0, atol=0.03)
    assert np.ptp(inner[:, 0]) == pytest.approx(2.0, abs=0.05)


def test_log_levels_crowd_at_the_bottom():
    levels = plot.contours._log_levels(np.array([[1.0, 101.0]]), 5)
    assert levels[0] == pytest.approx(1.1) and levels[-1] == pytest.approx(101) and (np.diff(levels, 2) > 0).all()


def test_paths_start_with_a_ring_end_with_a_star_and_differ_in_colour():
    ax = plot.plot_path([[0, 1], [1, 2], [3, 3]], label="a")
    plot.plot_path([[5, 5]], label="b", ax=ax)
    path, start, end, other = ax.lines[:4]
    np.testing.assert_array_equal(path.get_xydata(), [[0, 1], [1, 2], [3, 3]])
    assert tuple(start.get_xydata()[0]) == (0, 1) and tuple(end.get_xydata()[0]) == (3, 3)
    assert path.get_color() == plot.PALETTE[0] and other.get_color() == plot.PALETTE[1]


def test_a_pixel_covers_the_unit_square_from_its_index():
    ax = plot.show_image(np.zeros((3, 4, 7)))
    assert tuple(ax.images[0].get_extent()) == (0, 7, 4, 0)


@pytest.mark.parametrize("shape", [(4, 7), (1, 4, 7), (3, 1, 1), (1, 1, 5)])
def test_gray_and_tiny_images_are_shown(shape):
    assert plot.show_image(np.zeros(shape)).images[0].get_array().shape[:2] == shape[-2:]


def test_tiles_stand_row_by_row_with_a_gap():
    images = np.arange(5.0)[:, None, None, None] * np.ones((5, 1, 2, 3))
    sheet = plot.tile(images, columns=2, pad=1, fill=9)
    assert sheet.shape == (1, 3 * 3 - 1, 2 * 4 - 1)
    for n in range(5):
        top, left = n // 2 * 3, n % 2 * 4
        assert (sheet[0, top:top + 2, left:left + 3] == n).all()
    assert (sheet[0, 2] == 9).all() and (sheet[0, :, 3] == 9).all() and (sheet[0, 6:, 4:] == 9).all()


def test_a_zero_filter_is_gray_and_each_is_scaled_by_its_own_largest_weight():
    weight = np.zeros((3, 1, 1, 2))
    weight[1, 0, 0] = [2, -1]
    weight[2, 0, 0] = [0, -8]
    ax = plot.show_filters(weight, columns=3)
    np.testing.assert_allclose(ax.images[0].get_array()[0], [0.5, 0.5, 1, 1, 0.25, 1, 0.5, 0])


def test_misclassified_shows_only_mistakes_with_predicted_and_true_names():
    ax = plot.show_misclassified(np.zeros((4, 1, 4, 4)), [0, 1, 2, 0], [0, 2, 2, 1], class_names=["cat", "dog", "<b>"])
    assert [t.get_text() for t in ax.texts] == ["dog (<b>)", "cat (dog)"]
    ax = plot.show_misclassified(np.zeros((2, 1, 4, 4)), [0, 1], [0, 1])
    assert ax.texts[0].get_text() == "all 2 images classified correctly"


def test_confusion_shows_counts_and_shares_of_the_true_class():
    ax = plot.plot_confusion([[3, 1, 0], [0, 0, 0], [2, 0, 6]], class_names=["a", "b", "c"])
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.75, 0.25, 0], [0, 0, 0], [0.25, 0, 0.75]])
    shown = {(t.get_position(), t.get_text()) for t in ax.texts}
    assert shown == {((0, 0), "3"), ((1, 0), "1"), ((0, 2), "2"), ((2, 2), "6")}
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize("call, error, match", [
    (lambda: plot.plot_curves({"a": [[[1]]]}), ShapeError, "'a' has shape"),
    (lambda: plot.plot_curves({"a": [1, 2]}, x=[1]), ShapeError, r"'a' has shape \(2,\), expected \(1,\)"),
    (lambda: plot.plot_curves({"a": [1]}, smooth=0), ArgError, "smooth is 0"),
    (lambda: plot.plot_contours(bowl, (1, 1), (0, 1)), ArgError, r"xlim is \(1, 1\)"),
    (lambda: plot.plot_contours(bowl, (0, 1), (2, 1)), ArgError, "ylim is"),
    (lambda: plot.plot_contours(lambda p: p, (0, 1), (0, 1)), ShapeError, "f gives shape"),
    (lambda: plot.plot_path([1, 2]), ShapeError, r"points has shape \(2,\)"),
    (lambda: plot.plot_path(np.zeros((0, 2))), ShapeError, "T >= 1"),
    (lambda: plot.show_image(np.zeros((4, 5, 3))), ShapeError, "is it channels-last"),
    (lambda: plot.show_image(np.zeros((2, 4, 5))), ShapeError, r"image has shape \(2, 4, 5\)"),
    (lambda: plot.tile(np.zeros((0, 1, 2, 2))), ShapeError, "N >= 1"),
    (lambda: plot.tile(np.zeros((1, 1, 2, 2)), columns=-1), ArgError, "columns is -1"),
    (lambda: plot.show_images(np.zeros((2, 1, 2, 2)), titles=["a"]), ShapeError, "titles has 1 entries, expected 2"),
    (lambda: plot.show_filters(np.zeros((2, 3, 3))), ShapeError, "weight has shape"),
    (lambda: plot.show_misclassified(np.zeros((2, 1, 2, 2)), [0], [0, 1]), ShapeError, "have 2, 1 and 2"),
    (lambda: plot.plot_confusion(np.zeros((2, 3))), ShapeError, "matrix has shape"),
    (lambda: plot.plot_confusion(np.zeros((2, 2)), class_names=["a"]), ShapeError, "class_names has 1"),
    (lambda: plot.image_uri(np.zeros((2, 2))), ShapeError, "image has shape"),
])
def test_malformed_input_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()
    assert not plt.get_fignums()
