"""Random detection data in COCO's form, and its evaluation by the reference toolbox: ``python coco_data.py`` writes
`coco_reference.json` (needs pycocotools)."""

import contextlib
import io
import json
import pathlib

import numpy as np

from minicv.geometry import rle_encode, rle_to_string

STORED = pathlib.Path(__file__).with_name("coco_reference.json")
KINDS = ("bbox", "segm")


def mask_code(box, size, rng):
    """An ellipse in a box, with a hole now and then."""
    x, y, w, h = box
    v, u = np.mgrid[:size[0], :size[1]] + 0.5
    radius = ((u - x - w / 2) / (w / 2)) ** 2 + ((v - y - h / 2) / (h / 2)) ** 2
    mask = (radius <= 1) & (radius >= rng.choice([0, 0.2]))
    return {"size": list(size), "counts": rle_to_string(rle_encode(mask))}


def random_box(rng, size, whole):
    w, h = rng.uniform(3, 0.7 * min(size), 2) ** rng.choice([0.6, 1.0])
    box = np.array([rng.uniform(-2, size[1] - w), rng.uniform(-2, size[0] - h), w, h])
    return (np.maximum(np.round(box), [-5, -5, 1, 1]) if whole else box).tolist()


def random_data(seed, masks=False):
    """(data set, results): several classes and sizes, crowds, images without objects or results, ties in score and
    IoU, objects without results and results without objects, more than a hundred results of a class."""
    rng = np.random.default_rng([17, seed])
    images = [{"id": int(i), "height": int(rng.integers(20, 140)), "width": int(rng.integers(20, 140))}
              for i in rng.permutation(60)[:rng.integers(1, 12)]]
    classes = np.sort(rng.permutation(90)[:rng.integers(1, 6)]) + 1
    whole, coarse = rng.random() < 0.5, rng.random() < 0.5
    annotations, results = [], []
    for image in images:
        size = image["height"], image["width"]
        for c in classes:
            boxes = [random_box(rng, size, whole) for _ in range(rng.integers(0, 5) * (rng.random() < 0.7))]
            for box in boxes:
                a = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": int(c), "bbox": box,
                     "area": box[2] * box[3] * rng.uniform(0.5, 1), "iscrowd": int(rng.random() < 0.15)}
                annotations.append(a | ({"segmentation": mask_code(box, size, rng)} if masks else {}))
            near = [b for b in boxes for _ in range(rng.integers(0, 4))]
            near = [(np.array(b) + rng.normal(0, rng.choice([0, 1, 3]), 4)).clip([-9, -9, 1, 1]).tolist() for b in near]
            far = [random_box(rng, size, whole) for _ in range(rng.integers(0, 4) + 110 * (rng.random() < 0.03))]
            for box in near + far:
                score = float(np.round(rng.random(), 1) if coarse else rng.random())
                r = {"image_id": image["id"], "category_id": int(c), "score": score}
                results.append(r | ({"segmentation": mask_code(box, size, rng)} if masks else {"bbox": box}))
    rng.shuffle(results)
    dataset = {"images": images, "annotations": annotations, "categories": [{"id": int(c)} for c in classes]}
    return dataset, results


def reference(dataset, results, kind, **settings):
    """COCOeval of the reference toolbox after all three steps."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(json.dumps(dataset))
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(json.loads(json.dumps(results))), kind)
        for name, value in settings.items():
            setattr(evaluation.params, name, value)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def store(count=15):
    """The twelve figures of some data sets, for boxes and masks."""
    rows = {}
    for kind in KINDS:
        for seed in range(count):
            dataset, results = random_data(seed, masks=kind == "segm")
            if results:
                rows[f"{kind} {seed}"] = reference(dataset, results, kind).stats.tolist()
    STORED.write_text(json.dumps({"source": "pycocotools 2.0.11", "figures": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    store()
