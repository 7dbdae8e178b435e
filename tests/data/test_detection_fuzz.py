"""Parsers of detection data under damaged input: voc, coco, run-length strings.

Proved here, as in `test_parser_fuzz.py`: whatever is done to a valid file, a parser returns a documented result or
raises a DataFormatError or BoxError; nothing else, and it writes no file. Besides bytes, the parts of a file are
mutated: values, keys and elements are swapped, dropped, doubled or replaced by awkward ones.
"""

import json
from copy import deepcopy
from xml.etree import ElementTree

import numpy as np
import pytest

from minicv.data.files import VocAnnotation, parse_coco, parse_voc, voc_bytes
from minicv.errors import BoxError, DataFormatError
from minicv.geometry import RLE, rle_decode, rle_encode, rle_from_string, rle_to_string, segmentation_rle
from tests.data.test_parser_fuzz import (  # noqa: F401  (no_writing is a fixture)
    mutated,
    no_writing,
    survives_drawn_damage,
    survives_seeded_damage,
)

pytestmark = pytest.mark.ch4
BOXES = np.array([[0, 0, 9, 8], [2, 3, 12, 7]], np.float32)
VOC_FILE = voc_bytes(VocAnnotation("a.png", (10, 14), ["dog", "cat"], BOXES, np.array([True, False])))
MASK = np.random.default_rng(0).random((12, 9)) < 0.4
COCO_FILE = json.dumps({
    "images": [{"id": 3, "file_name": "a.png", "height": 12, "width": 9}], "categories": [{"id": 7, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 3, "category_id": 7, "bbox": [0, 1, 5.5, 6], "area": 20.5, "iscrowd": 0,
         "segmentation": [[0, 1, 5, 1, 5.5, 7]]},
        {"id": 2, "image_id": 3, "category_id": 7, "bbox": [0, 0, 9, 12], "iscrowd": 1,
         "segmentation": {"size": [12, 9], "counts": rle_to_string(rle_encode(MASK))}},
        {"id": 4, "image_id": 3, "category_id": 7, "bbox": [0, 0, 9, 12], "segmentation": {
            "size": [12, 9], "counts": rle_encode(MASK).counts.tolist()}}]}).encode()
AWKWARD = [None, True, -1, 0, 2**31, 2**63, 10**30, 1e308, 0.5, "", "0", "\0", "../x", [], [[]], {}, [1, 2, 3, 4, 5, 6]]


def places(node, path=()):
    """Paths of all values inside lists and dicts."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def in_coco(mutations):
    """Replace, drop or double values of the JSON tree."""
    tree = json.loads(COCO_FILE)
    for kind, where, value in mutations:
        found = list(places(tree))
        *path, last = found[int(where * len(found))]
        parent = tree
        for key in path:
            parent = parent[key]
        if kind in ("drop", "cut"):
            del parent[last]
        elif kind in ("repeat", "append") and isinstance(parent, list):
            parent.append(deepcopy(parent[last]))
        else:
            parent[last] = deepcopy(AWKWARD[value % len(AWKWARD)])
        if not list(places(tree)):
            break
    return json.dumps(tree).encode()


def in_voc(mutations):
    """Drop, double or move elements, or replace their text."""
    root = ElementTree.fromstring(VOC_FILE)
    for kind, where, value in mutations:
        parents = [p for p in root.iter() if len(p)]
        if not parents:
            break
        parent = parents[value % len(parents)]
        child = parent[int(where * len(parent))]
        if kind in ("drop", "cut"):
            parent.remove(child)
        elif kind in ("repeat", "append"):
            parent.append(deepcopy(child))
        elif kind == "swap":
            root.insert(0, child)
        else:
            child.text = str(AWKWARD[value % len(AWKWARD)]).replace("\0", "nul")
    return ElementTree.tostring(root)


def parse_coco_with_masks(data):
    dataset = parse_coco(data)
    for a in dataset["annotations"]:
        (image,) = [i for i in dataset["images"] if i["id"] == a["image_id"]]
        if image["height"] * image["width"] < 10**6:                             # makes no large masks
            segmentation_rle(a.get("segmentation"), (image["height"], image["width"]))
    return dataset


def check_voc(result):
    assert len(result.names) == len(result.boxes) == len(result.difficult) and min(result.size) > 0
    assert (result.boxes[:, 2:] > result.boxes[:, :2]).all() and result.boxes.min(initial=0) >= 0


def check_coco(result):
    for a in result["annotations"]:
        assert np.isfinite(a["bbox"]).all() and min(a["bbox"][2:]) >= 0 and a["area"] >= 0


def check_rle_result(result):
    assert isinstance(result, RLE) and rle_decode(result).shape == (12, 9)


TARGETS = {
    "voc": (lambda m: mutated(VOC_FILE, m), parse_voc, check_voc),
    "in voc": (in_voc, parse_voc, check_voc),
    "coco": (lambda m: mutated(COCO_FILE, m), parse_coco_with_masks, check_coco),
    "in coco": (in_coco, parse_coco_with_masks, check_coco),
    "rle": (lambda m: mutated(rle_to_string(rle_encode(MASK)).encode(), m), lambda d: rle_from_string(d, (12, 9)),
            check_rle_result),
}


def outcome(target, mutations):
    make, parse, check = TARGETS[target]
    data = make(mutations)
    try:
        result = parse(data)
    except (DataFormatError, BoxError) as e:
        assert str(e)
        return "refused"
    check(result)
    return "accepted"


@pytest.mark.parametrize("target", TARGETS)
def test_valid_files_are_accepted(target):
    assert outcome(target, []) == "accepted"


@pytest.mark.parametrize("count", [500, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("target", TARGETS)
def test_seeded_damage_is_accepted_or_refused(target, count, no_writing):  # noqa: F811
    survives_seeded_damage(outcome, target, 8, count)


@pytest.mark.parametrize("target", TARGETS)
def test_drawn_damage_is_accepted_or_refused(target):
    survives_drawn_damage(outcome, target)
