"""Records what the public implementations compute, for the tests that run without them.

    python -m tests.cnn.make_goldens CIFAR WIDE

with PyTorch, torchvision and timm installed. CIFAR is `resnet.py` of github.com/akamaster/pytorch_resnet_cifar10,
WIDE is `wideresnet.py` of github.com/xternalz/WideResNet-pytorch. Everything is computed in float64.
"""

import json
import pathlib
import sys

from minicv.files import atomic_write
from minicv.weights import MAPS

from ..vit.references import SMALL as TRANSFORMERS
from .hashed import fingerprint, hashed_weight, image
from .references import IMAGES, PUBLIC, SMALL, exact, libraries, run_torch

TESTS = pathlib.Path(__file__).parent.parent


def ours_of(model, names):
    """{their name: our name} for every weight of a PyTorch network."""
    theirs = {name: name for name in model.state_dict()}
    return {old: new for new, old in (MAPS[names](theirs) if names else theirs).items()}


def golden(lib, pair):
    """Fingerprints of the reference, filled with the weights that belong to our names."""
    model = exact(lib.torch, pair.theirs(lib)).eval().double()
    ours = ours_of(model, pair.names)
    model.load_state_dict({name: lib.torch.tensor(hashed_weight(ours[name], tuple(t.shape)))
                           for name, t in model.state_dict().items()})
    runs = []
    for number in range(IMAGES):
        logits, gradients = run_torch(lib.torch, model, image(pair.shape, number=number))
        runs.append(fingerprint(logits, {ours[name]: g for name, g in gradients.items()}))
    return {"parameters": sum(p.numel() for p in model.parameters()), "runs": runs}


def main(cifar, wide):
    lib = libraries(cifar, wide)
    for package, pairs in (("cnn", SMALL | PUBLIC), ("vit", TRANSFORMERS)):
        found = {name: golden(lib, pair) for name, pair in pairs.items()}
        atomic_write(TESTS / package / "goldens.json", (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
