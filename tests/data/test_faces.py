"""D6, cartoon faces.

Proved here: items depend on (seed, i) alone; fields, ranges and dtypes; persons are the same for every seed and
differ from each other by more than nuisance moves one; each of the eight numbers changes the drawing; boxes hold a
face and do not overlap; clutter alone on request; detection data repeat no person; impossible requests are refused.
"""

import numpy as np
import pytest

import minicv.data.synthetic.faces as faces_module
from minicv.data import Face, FacePatches, Faces, FaceScenes, draw_face, person
from minicv.data.synthetic.clutter import draw_clutter
from minicv.errors import ArgError

pytestmark = [pytest.mark.ch4, pytest.mark.ch7]


@pytest.mark.parametrize("make", [Faces, FacePatches, FaceScenes])
def test_items_depend_on_seed_and_index_alone(make):
    data, later = make(6, seed=3), make(3, seed=3, first=3)
    for name in data[4]:
        assert np.array_equal(data[4][name], later[1][name]) and np.array_equal(data[4][name], data[4][name])
    assert not np.array_equal(data[4]["image"], make(6, seed=4)[4]["image"])
    with pytest.raises(IndexError):
        data[6]


@pytest.mark.parametrize("make, size", [(Faces, (32, 32)), (FacePatches, (24, 24)), (FaceScenes, (120, 160))])
def test_pictures_are_grey_levels_in_the_unit_interval(make, size):
    image = make(1)[0]["image"]
    assert image.shape == (1, *size) and image.dtype == np.float32 and 0 <= image.min() < image.max() <= 1


def test_persons_take_turns_and_are_the_same_for_every_seed():
    data = Faces(9, persons=4, first_person=10)
    assert [int(data[i]["label"]) for i in range(9)] == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    calm = [Faces(4, persons=4, nuisance=0, noise=0, occlusion=0, seed=s) for s in (0, 1)]
    face = np.hypot(*(np.indices((32, 32)) - 15.5)) < 12
    for i in range(4):                                       # tones differ, the drawing does not
        a, b = (data[i]["image"][0][face] for data in calm)
        assert np.corrcoef(a, b)[0, 1] > 0.8
    assert person(3) == person(3) != person(4) and len(person(3)) == 8


@pytest.mark.parametrize("number", Face._fields)
def test_every_number_of_a_person_shows(number):
    middle = Face(*[0.5] * 8)
    low, high = (draw_face(middle._replace(**{number: v}), 48) for v in (0.0, 1.0))
    assert (abs(low - high) > 0.1).sum() >= 8


def test_half_of_the_patches_are_faces_and_clutter_alone_is_possible():
    labels = [FacePatches(300)[i]["label"] for i in range(300)]
    assert 120 < sum(labels) < 180
    assert not any(FacePatches(20, faces=0)[i]["label"] for i in range(20))


def test_boxes_are_squares_inside_that_do_not_overlap():
    data = FaceScenes(30, faces=(2, 4), side=(24, 60))
    for i in range(30):
        x1, y1, x2, y2 = data[i]["boxes"].T
        assert 2 <= len(x1) <= 4 and (x2 - x1 == y2 - y1).all() and ((24 <= x2 - x1) & (x2 - x1 <= 60)).all()
        assert min(x1.min(), y1.min()) >= 0 and x2.max() <= 160 and y2.max() <= 120
        for a in range(len(x1)):
            for b in range(a):
                assert x1[a] >= x2[b] or x1[b] >= x2[a] or y1[a] >= y2[b] or y1[b] >= y2[a]


def test_a_face_fills_its_box_as_it_fills_a_patch():
    """Scenes are clutter with faces pasted in: inside the boxes they differ from the same clutter, outside not."""
    data = FaceScenes(1, faces=(1, 1), noise=0, occlusion=0, seed=8)
    sample, clutter = data[0], draw_clutter(np.random.default_rng([8, 0]), 120, 160)
    changed = abs(sample["image"][0] - clutter) > 0.02
    y, x = np.nonzero(changed)
    x1, y1, x2, y2 = sample["boxes"][0]
    assert x1 <= x.min() and x.max() < x2 and y1 <= y.min() and y.max() < y2
    assert y.max() - y.min() > 0.75 * (y2 - y1)


def test_a_scene_without_faces_has_no_boxes():
    sample = FaceScenes(1, faces=(0, 0))[0]
    assert sample["boxes"].shape == (0, 4) and sample["labels"].shape == (0,)


def test_density_scales_the_clutter():
    flat = [draw_clutter(np.random.default_rng(i), 60, 60, density=0) for i in range(5)]
    busy = [draw_clutter(np.random.default_rng(i), 60, 60, density=3) for i in range(5)]
    edges = [np.mean([abs(np.diff(x)).mean() for x in images]) for images in (flat, busy)]
    assert edges[0] < edges[1]


@pytest.mark.parametrize("make, settings, words", [
    (Faces, dict(persons=0), "Faces: persons"), (Faces, dict(size=4), "Faces: size"),
    (Faces, dict(noise=-1), "Faces: noise"), (FacePatches, dict(faces=1.5), "FacePatches: faces"),
    (FacePatches, dict(nuisance=np.nan), "FacePatches: nuisance"), (FaceScenes, dict(side=(60, 24)), "side"),
    (FaceScenes, dict(side=(24, 130)), "shorter side"), (FaceScenes, dict(faces=(3, 2)), "faces"),
    (FaceScenes, dict(faces=(1, 40), side=(40, 60)), "no more than fit")])
def test_impossible_requests_are_refused(make, settings, words):
    with pytest.raises(ArgError, match=words):
        make(2, **settings)


def test_detection_shows_new_persons_only_and_no_seed_shares_any(monkeypatch):
    """Otherwise a detector would be tested on faces that it has learned."""
    drawn, draw = [], faces_module._photograph

    def recorded(rng, face, *rest):
        drawn.append(face)
        return draw(rng, face, *rest)

    monkeypatch.setattr(faces_module, "_photograph", recorded)
    for seed in (0, 1):
        for data in (FacePatches(20, faces=1.0, seed=seed), FaceScenes(5, seed=seed)):
            list(map(data.__getitem__, range(len(data))))
    assert len(drawn) >= 50 and len({*drawn, *map(person, range(135))}) == len(drawn) + 135
