"""D5, shapes over textures.

Proved here: every pixel has one class and one number that fit together and agree with masks and boxes; things and
stuff are told apart; items depend on (seed, i) alone; two or three textures occur and look different; errors.
"""

import numpy as np
import pytest

from minicv.data import PanopticScenes
from minicv.data.synthetic.textures import STUFF, draw_stuff
from minicv.errors import ArgError

pytestmark = [pytest.mark.ch4, pytest.mark.ch5]


@pytest.mark.parametrize("i", range(8))
def test_classes_numbers_masks_and_boxes_agree(i):
    data = PanopticScenes(8, objects=(1, 4), seed=2)
    s = data[i]
    assert s["image"].shape == (3, 64, 64) and s["image"].dtype == np.float32
    assert s["semantic"].dtype == s["instances"].dtype == np.int64
    assert (data.is_thing[s["semantic"]] == (s["instances"] > 0)).all()
    assert (s["instances"] > 0).sum() == s["masks"].sum()
    for r, (mask, label, box) in enumerate(zip(s["masks"], s["labels"], s["boxes"], strict=True)):
        assert (s["semantic"][mask] == label).all() and (s["instances"] == r + 1).sum() == mask.sum()
        y, x = np.nonzero(mask)
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_things_come_first_then_stuff():
    data = PanopticScenes(1, classes=("disc", "star"))
    assert data.all_names == ("disc", "star", *STUFF) and data.is_thing.tolist() == [1, 1, 0, 0, 0]


def test_items_depend_on_seed_and_index_alone():
    a, b = PanopticScenes(5, seed=7)[4], PanopticScenes(2, seed=7, first=3)[1]
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not np.array_equal(a["image"], PanopticScenes(5, seed=8)[4]["image"])


def test_two_or_three_textures_occur_with_sky_above_grass():
    kinds = set()
    for i in range(30):
        image, which = draw_stuff(np.random.default_rng(i), 64)
        kinds.add(len(np.unique(which)))
        assert 0 <= image.min() and image.max() <= 1
        rows = np.arange(64)[:, None] + 0 * which
        assert rows[which == 0].mean() < rows[which == 1].mean()
        assert image[2][which == 0].mean() > image[2][which == 1].mean()          # sky is bluer than grass
    assert kinds == {2, 3}


def test_settings_are_checked_as_for_scenes():
    with pytest.raises(ArgError, match="size"):
        PanopticScenes(1, size=4)
