"""The parity table: every network that has a public reference, beside it.

    python -m benchmarks.parity                  all networks, from small to large
    python -m benchmarks.parity --only resnet    names that contain the word
    python -m benchmarks.parity --resume         only those without a sound row
    python -m benchmarks.parity --cifar resnet.py --wide wideresnet.py      with the two public files for CIFAR

Needs PyTorch, torchvision and timm; the networks for CIFAR need two files of public repositories, which
`tests/cnn/make_goldens.py` names, and keep their rows without them. The pairs are those of the tests
(`tests/cnn/references.py`, `tests/vit`), with equal, hashed weights in evaluation mode. The reference computes in
float64 from the same numbers; a difference is the largest one divided by the largest value of the reference, for
gradients the worst parameter, of sum(logits * weights). Networks above 200 million parameters compare the gradients of
fewer layers. Rows are kept in `docs/parity.json` and shown in `docs/parity.md`.
"""

import argparse
import gc
import json
import sys
from pathlib import Path

import numpy as np

import minicv
from minicv import nn
from minicv.files import atomic_write
from tests.cnn import references as cnn_pairs
from tests.cnn.paper import size
from tests.vit import references as vit_pairs

DOCS = Path(__file__).resolve().parent.parent / "docs"
LIMITS = {"float32": 1e-4, "float64": 1e-9}
CIFAR = cnn_pairs.PUBLIC | cnn_pairs.PUBLIC_FULL
PAIRS = {"cnn": cnn_pairs.SMALL | cnn_pairs.FULL | CIFAR,
         "vit": {f"vit_small_{k}" if k in vit_pairs.SMALL else k: p
                 for k, p in (vit_pairs.SMALL | vit_pairs.FULL).items()}}


def names():
    """Names of all networks in the table."""
    return [name for pairs in PAIRS.values() for name in pairs]


def row(lib, name, pair):
    """Measure one network: a dict of plain numbers and texts."""
    ours, theirs = pair.ours(), pair.theirs(lib).eval()
    result = {
        "name": name, "network": type(ours).__name__, "shape": list(pair.shape),
        "reference": f"{type(theirs).__module__.partition('.')[0]} {type(theirs).__name__}",
        "parameters": [sum(p.size for p in ours.parameters()), sum(p.numel() for p in theirs.parameters())],
        "macs": [int(nn.cost(ours, pair.shape).macs), int(cnn_pairs.multiply_adds(lib.torch, theirs, pair.shape))]}
    del ours, theirs
    for dtype, limit in LIMITS.items():
        result[dtype] = differences(lib, pair, dtype, limit)
    return result


def differences(lib, pair, dtype, limit):
    """[logits, gradients]; in float32 of the best image: a pixel at a kink of a ReLU may fall on either side."""
    found = []
    for number in range(cnn_pairs.TRIES if dtype == "float32" else 1):
        found.append([float(d) for d in cnn_pairs.differences(lib, pair, np.dtype(dtype).type, number)])
        gc.collect()
        if max(found[-1]) < limit:
            break
    return min(found, key=max)


def red(r):
    """What is wrong with a row, in words; empty if nothing is."""
    wrong = [key for key in ("parameters", "macs") if r[key][0] != r[key][1]]
    return wrong + [dtype for dtype, limit in LIMITS.items() if not max(r[dtype]) < limit]


def page(rows, versions):
    """The table in Markdown."""
    head = ("# Parity with public implementations\n\n"
            "Made by `python -m benchmarks.parity` with " + ", ".join(versions) + ". Both networks have the same "
            "weights and see the same image, in evaluation mode; the reference computes in float64. Differences are "
            "the largest one divided by the largest value of the reference; of gradients the worst parameter, from 200 "
            "million parameters on that of a network with fewer layers. "
            f"Limits: {LIMITS['float32']:g} in float32, {LIMITS['float64']:g} in float64. Parameters and "
            f"multiply-accumulates are equal unless two numbers are given. {len(rows)} of {len(names())} networks.\n\n")
    titles = ("network", "reference", "input", "parameters", "MACs", "logits, float32", "gradients, float32",
              "logits, float64", "gradients, float64", "")
    lines = ["| " + " | ".join(titles) + " |", "|---|---|---|---:|---:|---:|---:|---:|---:|---|"]
    return head + "\n".join(lines + [_line(r) for r in rows]) + "\n"


def _line(r):
    pairs = [f"{a:,}" if a == b else f"{a:,} / {b:,}" for a, b in (r["parameters"], r["macs"])]
    numbers = [f"{d:.1e}" for dtype in LIMITS for d in r[dtype]]
    mark = "**red: " + ", ".join(red(r)) + "**" if red(r) else "ok"
    cells = [f"`{r['name']}`", r["reference"], "×".join(map(str, r["shape"])), *pairs, *numbers, mark]
    return "| " + " | ".join(cells) + " |"


def main(arguments=None):
    """Measure, and write both files after every row."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="part of a name")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there and not red")
    for kind in ("cifar", "wide"):
        parser.add_argument(f"--{kind}", metavar="FILE", help="public implementation of these networks")
    options = parser.parse_args(arguments)
    lib, store = cnn_pairs.libraries(options.cifar, options.wide), DOCS / "parity.json"
    rows = {r["name"]: r for r in json.loads(store.read_text())["rows"]} if store.exists() else {}
    packages = [minicv, *(sys.modules[name] for name in ("torch", "torchvision", "timm"))]
    versions = [f"{m.__name__} {m.__version__}" for m in packages]
    todo = [(n, p) for pairs in PAIRS.values() for n, p in pairs.items()
            if options.only in n and not (options.resume and n in rows and not red(rows[n]))
            and (n not in CIFAR or lib.cifar and lib.wide)]
    todo.sort(key=lambda item: size(item[1].ours)[0])
    for name, pair in todo:
        with minicv.precision("high"):
            rows[name] = row(lib, name, pair)
        print(name, *rows[name]["float32"], *rows[name]["float64"], *red(rows[name]), flush=True)
        ordered = [rows[n] for n in names() if n in rows]
        atomic_write(store, (json.dumps({"versions": versions, "rows": ordered}, indent=1) + "\n").encode())
        atomic_write(DOCS / "parity.md", page(ordered, versions).encode())
    return any(red(r) for r in rows.values())


if __name__ == "__main__":
    sys.exit(main())
