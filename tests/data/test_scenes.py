"""D4 scenes.

Proved here: fields as documented; item i depends only on (seed, first + i) (T4); boxes are the tight frames of the
masks (against a loop); masks are disjoint, hide each other no more than asked and lie where the colour is; crowding
and foreground do what they say; impossible requests are refused.
"""

import hashlib

import numpy as np
import pytest

from minicv.data import DataLoader, Scenes, default_collate
from minicv.data.synthetic.scenes import shape_cover, visible
from minicv.data.synthetic.shapes import SHAPES
from minicv.errors import ArgError

pytestmark = pytest.mark.ch4


def digest(samples):
    return hashlib.sha256(b"".join(v.tobytes() for s in samples for v in s.values())).hexdigest()


@pytest.mark.parametrize("size, objects", [(64, (1, 3)), (96, (1, 4)), (48, (2, 2))])
def test_samples_follow_their_field_table(size, objects):
    counts = set()
    for sample in Scenes(60, size=size, objects=objects):
        count = len(sample["labels"])
        counts.add(count)
        assert {n: (v.shape, v.dtype) for n, v in sample.items()} == {
            "image": ((3, size, size), np.float32), "boxes": ((count, 4), np.float32),
            "labels": ((count,), np.int64), "masks": ((count, size, size), bool)}
        assert 0 <= sample["image"].min() and sample["image"].max() <= 1
        assert sample["labels"].min() >= 0 and sample["labels"].max() < 3
    assert counts == set(range(objects[0], objects[1] + 1))


def test_an_item_depends_on_seed_and_position_only_T4():
    data = Scenes(12, seed=3)
    assert digest(data) == digest([data[i] for i in reversed(range(12))][::-1])
    assert digest(Scenes(5, seed=3, first=4)) == digest([data[i] for i in range(4, 9)])
    assert digest(Scenes(12, seed=4)) != digest(data)


def test_boxes_are_the_tight_frames_of_the_masks():
    for sample in Scenes(40):
        for (x1, y1, x2, y2), mask in zip(sample["boxes"], sample["masks"], strict=True):
            points = [(x, y) for y in range(64) for x in range(64) if mask[y, x]]
            xs, ys = zip(*points, strict=True)
            assert (x1, y1, x2, y2) == (min(xs), min(ys), max(xs) + 1, max(ys) + 1)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.7])
def test_masks_are_disjoint_and_hide_no_more_than_asked(overlap, monkeypatch):
    whole = []
    monkeypatch.setattr("minicv.data.synthetic.scenes.visible", lambda m: whole.append(m) or visible(m))
    hidden = []
    for sample in Scenes(60, objects=(4, 4), overlap=overlap, crowding=0.9):
        assert sample["masks"].sum(axis=0).max() == 1
        shares = 1 - sample["masks"].sum((1, 2)) / whole[-1].sum((1, 2))
        assert shares.max() <= overlap + 1e-12 and shares[-1] == 0                # the last one is in front
        hidden.append(shares.max())
    assert max(hidden) == 0 if overlap == 0 else max(hidden) > 0.8 * overlap      # crowding uses the room it gets


def test_visible_by_hand():
    masks = np.zeros((2, 4, 5), bool)
    masks[0, 1:3, 0:4], masks[1, 2:4, 3:5] = True, True
    seen = visible(masks)
    assert seen[0].sum() == 7 and not seen[0, 2, 3] and (seen[1] == masks[1]).all()
    assert visible(masks[:0]).shape == (0, 4, 5)


@pytest.mark.parametrize("name", ["disc", "square", "triangle"])
def test_the_cover_of_a_shape_is_its_definition_at_nine_points_per_pixel(name):
    x, y, r, angle = 11.3, 14.8, 6.1, 0.25
    cover = shape_cover(name, x, y, r, angle, 24)
    c, s = np.cos(angle), np.sin(angle)
    for row, column in [(14, 11), (9, 11), (12, 5), (20, 17), (15, 16), (0, 0), (17, 9)]:
        hits = 0
        for i in range(9):
            dx, dy = (column + (i % 3 + 0.5) / 3 - x) / r, (row + (i // 3 + 0.5) / 3 - y) / r
            hits += bool(SHAPES[name](np.array(c * dx + s * dy), np.array(c * dy - s * dx)))
        assert cover[row, column] == pytest.approx(hits / 9)


def test_an_object_has_one_colour_unlike_the_background():
    seen = 0
    for sample in Scenes(40, objects=(2, 3), noise=0.0, classes=("square",), overlap=0):
        image, taken = sample["image"], sample["masks"].any(0)
        for mask in sample["masks"]:
            deep = mask & ~grown(~mask)
            assert np.ptp(image[:, deep], axis=1).max() < 1e-6
            around = grown(grown(grown(mask))) & ~grown(grown(mask)) & ~grown(taken & ~mask)
            assert np.abs(image[:, deep].mean(1) - image[:, around].mean(1)).max() > 0.1
            seen += 1
    assert seen > 80


def grown(mask):
    padded = np.pad(mask, 1)
    return np.max([padded[i:i + 64, j:j + 64] for i in range(3) for j in range(3)], axis=0)


def test_crowding_brings_centres_together():
    def spread(crowding):
        boxes = np.stack(Scenes(60, objects=(4, 4), crowding=crowding).arrays()["boxes"])
        return np.ptp((boxes[:, :, :2] + boxes[:, :, 2:]) / 2, axis=1).mean()
    assert spread(1.0) < spread(0.5) < spread(0.0)
    assert spread(1.0) < 0.7 * spread(0.0)


@pytest.mark.parametrize("low, high", [(0.0, 0.05), (0.1, 0.15), (0.25, 0.4)])
def test_the_share_of_foreground_stays_within_its_bounds(low, high):
    shares = [sample["masks"].any(0).mean() for sample in Scenes(40, foreground=(low, high))]
    assert low <= min(shares) and max(shares) <= high


def test_noise_is_the_standard_deviation_and_batches_keep_lists():
    clean, noisy = (Scenes(20, noise=n).arrays()["image"] for n in (0.0, 0.02))
    middle = (clean > 0.15) & (clean < 0.85)
    assert (noisy - clean)[middle].std() == pytest.approx(0.02, rel=0.02)

    def collate(samples):
        return default_collate(samples, lists=Scenes.lists)

    batch = next(iter(DataLoader(Scenes(8), 4, seed=0, collate=collate)))
    assert batch["image"].shape == (4, 3, 64, 64) and [len(b) for b in batch["boxes"]] == [
        len(k) for k in batch["labels"]]


@pytest.mark.parametrize("options, words", [
    ({"size": 8}, "size is 8"), ({"size": 64.0}, "size is 64.0"), ({"objects": (0, 2)}, "objects is"),
    ({"objects": (3, 2)}, "objects is"),
    ({"objects": (1, 9), "radius": (0.2, 0.2)}, "objects is .* expected at most 5"),
    ({"radius": (0.2, 0.6)}, "radius is .* does not fit"), ({"radius": (0.3, 0.2)}, "radius is"),
    ({"radius": (0.01, 0.2)}, "radius is .* at least 2 pixels"), ({"overlap": 1.0}, "overlap is 1.0"),
    ({"crowding": 1.5}, "crowding is 1.5"), ({"noise": -1.0}, "noise is -1.0"), ({"classes": ()}, "classes is"),
    ({"classes": ("disc", "blob")}, "classes is"), ({"foreground": (0.9, 1.0)}, "foreground is"),
    ({"foreground": (0.5, 0.2)}, "foreground is"), ({"length": 0}, "length is 0"), ({"seed": -1}, "seed is -1")])
def test_impossible_requests_are_refused(options, words):
    with pytest.raises(ArgError, match=f"Scenes: {words}"):
        Scenes(**{"length": 5, **options})


def test_a_scene_that_is_not_found_is_an_error_not_a_smaller_scene():
    with pytest.raises(ArgError, match="no scene was found"):
        Scenes(5, objects=(1, 1), classes=("square",), foreground=(0.12, 0.15))[0]


def test_indices_outside_end_a_loop():
    with pytest.raises(IndexError, match="index 3 outside"):
        Scenes(3)[3]
