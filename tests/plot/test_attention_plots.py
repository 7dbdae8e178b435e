"""Heat-maps of attention weights: weights and tokens arrive unchanged, a player has one frame per head, refusals."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from minicv.errors import ShapeError  # noqa: E402
from minicv.plot import attention_player, plot_attention  # noqa: E402

WEIGHTS = np.array([[0.75, 0.25, 0.0], [0.5, 0.25, 0.25]])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_weights_and_tokens_arrive():
    ax = plt.figure().add_subplot()
    assert plot_attention(WEIGHTS, queries="ab", keys="xyz", numbers=True, ax=ax) is ax
    np.testing.assert_array_equal(ax.images[0].get_array(), WEIGHTS)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["x", "y", "z"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    assert [t.get_text() for t in ax.texts] == ["0.75", "0.25", "0.00", "0.50", "0.25", "0.25"]
    assert ax.images[0].get_clim() == (0, 0.75)


def test_a_player_has_a_frame_for_each_head_and_leaves_no_figure_open():
    player = attention_player(np.stack([WEIGHTS, WEIGHTS[::-1]]))
    assert player.labels == ["head 1", "head 2"] and len(set(player.frames)) == 2 and not plt.get_fignums()


@pytest.mark.parametrize("call", [
    lambda: plot_attention(np.zeros(3)), lambda: plot_attention(np.zeros((0, 3))),
    lambda: plot_attention(WEIGHTS, keys="xy"), lambda: plot_attention(WEIGHTS, queries="xyz"),
    lambda: attention_player(WEIGHTS)])
def test_what_is_no_weight_matrix_is_refused(call):
    with pytest.raises(ShapeError, match="attention"):
        call()
