"""Pictures of vision transformers: what is drawn is what the arrays say; bad shapes are refused."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from minicv.errors import ShapeError  # noqa: E402
from minicv.plot.vit import (  # noqa: E402
    plot_attention_distance,
    show_patches,
    show_principal_filters,
    show_rollout,
    show_similarity,
)

pytestmark = pytest.mark.ch3
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_patches_are_numbered_in_reading_order():
    ax = show_patches(RNG.random((3, 8, 12)), 4)
    assert [t.get_text() for t in ax.texts] == ["1", "2", "3", "4", "5", "6"]
    assert [t.get_position() for t in ax.texts][3] == (0.4, 4.4)
    assert len(ax.lines) == 4 + 3


def test_the_map_in_row_i_and_column_j_is_that_of_patch_i_j():
    similarity = RNG.random((2, 3, 2, 3))
    sheet = show_similarity(similarity).images[0].get_array()
    assert sheet.shape == (5, 11)
    for i, j, k, m in np.ndindex(2, 3, 2, 3):
        assert sheet[3 * i + k, 4 * j + m] == similarity[i, j, k, m]
    assert np.isnan(np.ma.filled(sheet, np.nan)[2]).all()                  # the gap between rows of maps


def test_each_head_has_a_point_in_each_layer():
    far, before = RNG.random((4, 3)), RNG.random((4, 3))
    ax = plot_attention_distance(far, before=before, uniform=0.5)
    found = {line.get_label(): line.get_ydata() for line in ax.lines}
    for head in range(3):
        np.testing.assert_array_equal(found[f"head {head + 1}"], far[:, head])
    np.testing.assert_array_equal(found["before training"], before[:, 0])
    assert set(found["uniform attention"]) == {0.5}


def test_principal_filters_say_how_much_they_explain():
    ax = show_principal_filters(RNG.standard_normal((4, 3, 2, 2)), shares=[0.5, 0.25, 0.1, 0.05])
    assert ax.get_title() == "4 principal components, 90 % of the variance"
    assert show_principal_filters(RNG.standard_normal((4, 3, 2, 2))).get_title() == "4 principal components"


def test_images_are_bright_where_the_share_is_large():
    images, shares = np.ones((2, 3, 4, 6)), np.array([[[1.0, 2, 4]], [[3, 3, 3]]])
    figure = show_rollout(images, shares, titles=["a", "b"])
    shown = [ax.images[0].get_array() for ax in figure.axes]
    assert len(shown) == 4 and (shown[0] == 1).all() and (shown[1] == 1).all() and (shown[3] == 1).all()
    np.testing.assert_allclose(shown[2][0, ::2, 0], [0.25, 0.5, 1])


@pytest.mark.parametrize("call", [
    lambda: show_patches(np.ones((3, 8, 9)), 4), lambda: show_similarity(np.ones((2, 3, 3, 2))),
    lambda: show_similarity(np.ones((2, 3))), lambda: plot_attention_distance(np.ones(3)),
    lambda: show_rollout(np.ones((2, 3, 4, 4)), np.ones((3, 2, 2))), lambda: show_principal_filters(np.ones((3, 4)))])
def test_other_shapes_are_refused(call):
    with pytest.raises(ShapeError):
        call()
