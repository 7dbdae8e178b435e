"""Drawings for Viola-Jones and for regions.

Proved here: tables show all numbers, letters and the shade; a feature covers exactly its cells; the funnel's bars are
its counts; regions have their mean colour and borders lie between them; the player has one frame a step; errors.
"""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from minicv.data import Scenes  # noqa: E402
from minicv.detection.proposals import hierarchy  # noqa: E402
from minicv.errors import ShapeError  # noqa: E402
from minicv.plot.haar import draw_feature, plot_funnel, show_features, show_numbers  # noqa: E402
from minicv.plot.regions import merge_player, region_image, show_regions  # noqa: E402

pytestmark = pytest.mark.ch4


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_a_table_shows_numbers_letters_and_shade():
    ax = show_numbers(np.array([[1, 2], [3, 40]]), highlight=(0, 0, 2, 1), corners={"A": (1, 1)}, title="t")
    assert [t.get_text() for t in ax.texts] == ["1", "2", "3", "40", "A"] and ax.get_title() == "t"
    shade, *cells = ax.patches
    assert (shade.get_xy(), shade.get_width(), shade.get_height()) == ((0, 0), 2, 1) and len(cells) == 4
    with pytest.raises(ShapeError, match="show_numbers"):
        show_numbers(np.zeros(3))


def test_a_feature_covers_its_cells_light_and_dark():
    ax = draw_feature(np.array([4, 3, 5, 2, 6]), ax=plt.subplots()[1])
    corners = {p.get_xy(): p.get_facecolor()[:3] for p in ax.patches}
    assert corners == {(3, 5): (1, 1, 1), (5, 5): (0, 0, 0), (3, 11): (0, 0, 0), (5, 11): (1, 1, 1)}
    assert all((p.get_width(), p.get_height()) == (2, 6) for p in ax.patches)


def test_features_are_drawn_one_a_panel():
    features = np.array([[0, 1, 1, 2, 2], [2, 1, 1, 2, 2], [1, 0, 0, 5, 5]])
    figure = show_features(np.full((24, 24), 0.5), features, titles=["a", "b", "c"], columns=2)
    assert [len(ax.patches) for ax in figure.axes] == [2, 3, 2, 0]
    assert [ax.get_title() for ax in figure.axes[:3]] == ["a", "b", "c"]
    with pytest.raises(ShapeError, match="titles has 1"):
        show_features(np.zeros((24, 24)), features, titles=["a"])


def test_bars_of_the_funnel_are_its_counts():
    ax = plot_funnel([1000, 100, 0])
    assert [p.get_width() for p in ax.patches] == [1000, 100, 0.5] and ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.texts] == ["1,000 (100.00%)", "100 (10.00%)", "0 (0.00%)"]


def test_regions_take_their_mean_colour():
    image = np.random.default_rng(0).random((3, 4, 5))
    labels = np.repeat([[0, 0, 7, 7, 7]], 4, axis=0)
    painted = region_image(labels, image, border=None)
    np.testing.assert_allclose(painted[:, 2, 1], image[:, :, :2].mean((1, 2)))
    np.testing.assert_allclose(painted[:, 0, 4], image[:, :, 2:].mean((1, 2)))
    lined = region_image(labels, image, border=(1, 0, 0))
    rest = [0, 1, 3, 4]
    assert (lined[:, :, 2] == [[1], [0], [0]]).all() and (lined[:, :, rest] == painted[:, :, rest]).all()
    with pytest.raises(ShapeError, match="region_image"):
        region_image(labels, image[:1])
    assert show_regions(labels, image, title="r").images


def test_the_player_goes_from_superpixels_to_one_region():
    image = Scenes(1, size=48, seed=2)[0]["image"]
    tree = hierarchy(image, min_size=5)
    joins = len(tree.merges)
    player = merge_player(tree, image, frames=5)
    assert len(player.frames) == 5
    assert player.labels[0] == f"0 of {joins} joins, {joins + 1} regions"
    assert player.labels[-1] == f"{joins} of {joins} joins, 1 regions"
    assert player.html().count("<img") == 5
