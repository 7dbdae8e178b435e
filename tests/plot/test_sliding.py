"""The sliding kernel: labels and the last picture hold the convolution, frames are pictures, slips are refused.

The oracle is the convolution of the library, whose own tests compare it with loops.
"""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from minicv.autograd.conv import conv2d
from minicv.errors import ArgError, ShapeError
from minicv.plot.sliding import sliding_player

pytestmark = pytest.mark.ch2


def numbers(frame):
    """Numbers that a frame shows, in order."""
    tree = ElementTree.fromstring(frame)
    return [float(e.text) for e in tree.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("stride, padding", [(1, 0), (2, 0), (1, 1), (3, 2)])
def test_the_last_picture_and_the_labels_hold_the_convolution(stride, padding):
    rng = np.random.default_rng(stride + padding)
    image, kernel = rng.integers(-3, 10, (5, 6)), rng.integers(-2, 3, (3, 2))
    y = conv2d(image[None, None] * 1.0, kernel[None, None] * 1.0, stride=stride, padding=padding)[0, 0]
    player = sliding_player(image, kernel, stride=stride, padding=padding)
    assert len(player.frames) == y.size + kernel.size - 1
    assert numbers(player.frames[-1])[-y.size:] == y.ravel().tolist()
    sums = {re.search(r"\(\d+, \d+\)", label)[0]: float(label.split("=")[1]) for label in player.labels}
    assert sums == {f"({i}, {j})": value for (i, j), value in np.ndenumerate(y)}


def test_the_first_position_is_shown_product_by_product():
    player = sliding_player([[1, 2], [3, 4]], [[5, -6]])
    assert player.labels == ["position (0, 0): 1·5 = 5", "position (0, 0): 1·5 + 2·(-6) = -7",
                             "position (1, 0): 3·5 + 4·(-6) = -9"]
    assert numbers(player.frames[0]) == [1, 2, 3, 4, 5, -6] and numbers(player.frames[1])[-1] == -7


@pytest.mark.parametrize("image, kernel, options, error, words", [
    (np.zeros(3), np.zeros((1, 1)), {}, ShapeError, "image, kernel have shapes"),
    (np.zeros((3, 3)), np.zeros((0, 2)), {}, ShapeError, "image, kernel have shapes"),
    (np.zeros((3, 3)), np.zeros((4, 1)), {}, ShapeError, "expected at most .3, 3."),
    (np.zeros((3, 3)), np.zeros((2, 2)), {"stride": 0}, ArgError, "stride is 0"),
    (np.zeros((3, 3)), np.zeros((2, 2)), {"padding": 0.5}, ArgError, "padding is 0.5"),
])
def test_slips_are_refused(image, kernel, options, error, words):
    with pytest.raises(error, match=f"sliding_player: .*{words}"):
        sliding_player(image, kernel, **options)
