"""`minicv predict`: what a network with stored weights sees in a photograph.

Preparation is that of the implementation the weights come from: shorter side to a given length, the middle cut out,
mean and standard deviation of the training set. The file's names tell the implementation, see `weights.MAPS`.
"""

import json
from functools import partial
from typing import NamedTuple

import numpy as np

from .. import cnn, vit, weights
from ..autograd import Tensor, no_grad
from ..autograd.softmax import softmax
from ..data import read_image
from ..errors import ArgError, CheckpointError, DataFormatError, DivergenceError, LimitError
from ..files.limits import MAX_PIXELS, read_limited
from ..nn import BatchNorm2d, Linear
from ..nn.init import Blank
from . import commands, terminal
from .usage import UsageError, choose

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)         # mean, standard deviation
CIFAR = (0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2616)
HALF = (0.5,) * 3, (0.5,) * 3                                   # [0, 1] becomes [-1, 1]


class Recipe(NamedTuple):
    """How an image is prepared."""

    resize: int = 256           # of the shorter side, in pixels
    crop: int = 224             # side of the square in the middle
    filter: str = "bilinear"    # or "bicubic"
    mean: tuple = IMAGENET[0]
    std: tuple = IMAGENET[1]


RECIPES = {                     # where the default is not right
    **{f"efficientnet_b{i}": Recipe(resize, crop, "bicubic") for i, (resize, crop) in enumerate(
        [(256, 224), (256, 240), (288, 288), (320, 300), (384, 380), (456, 456), (528, 528), (600, 600)])},
    "googlenet": Recipe(256, 224, "bilinear", *HALF), "mobilenet_v1": Recipe(256, 224, "bicubic", *HALF),
    "inception_v4": Recipe(341, 299, "bicubic", *HALF), "inception_resnet_v2": Recipe(333, 299, "bicubic", *HALF),
    **{name: Recipe(32, 32) for name in cnn.resnet_cifar.VARIANTS},
    **{name: Recipe(32, 32, "bilinear", *CIFAR) for name in cnn.wide_resnet.VARIANTS},
    **{name: Recipe(248, 224, "bicubic", *HALF) for name in vit.VARIANTS}}
TORCHVISION_VIT = {"vit_l_16": Recipe(242, 224), "vit_h_14": Recipe(224, 224, "bicubic")}
BUILDERS = {**{name: cnn.build for name in cnn.VARIANTS}, **{name: vit.build for name in vit.VARIANTS}}


class Prediction(NamedTuple):
    """One of the likely classes."""

    index: int
    label: str                  # empty without names
    probability: float


def recipe(name, names=None):
    """The `Recipe` of the model `name` whose weights came through the name map `names`.

    Vision transformers with other names than torchvision's are prepared as timm prepares them.
    """
    table = TORCHVISION_VIT if names == "torchvision_vit" else RECIPES
    return table.get(name, Recipe())


def prepare(image, recipe):
    """An image (3, H, W), float32 in [0, 1], as a batch (1, 3, crop, crop): resized, cut out, standardized.

    Resized with antialiasing and rounded to 255 levels, as torchvision resizes a photograph.

    Raises
    ------
    LimitError
        If an image that is very long and thin would become too large.
    """
    image = _resized(image, recipe)
    top, left = (round((side - recipe.crop) / 2) for side in image.shape[1:])
    image = image[:, top:top + recipe.crop, left:left + recipe.crop]
    mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in (recipe.mean, recipe.std))
    return ((image - mean) / std)[None]


def _resized(image, recipe):
    from PIL import Image

    sides = np.array(image.shape[1:])
    height, width = (sides * recipe.resize // sides.min()).tolist()
    if height * width > MAX_PIXELS:
        raise LimitError(f"predict: IMAGE has height, width {sides[0]}, {sides[1]}, which would become {height}, "
                         f"{width}, expected at most {MAX_PIXELS} pixels")
    levels = np.round(255 * image).astype(np.uint8).transpose(1, 2, 0)
    small = Image.fromarray(levels).resize((width, height), Image.Resampling[recipe.filter.upper()])
    return np.asarray(small).transpose(2, 0, 1) / np.float32(255)


# Networks -----------------------------------------------------------------------------------------------------


def network(name, path):
    """The model `name` with the weights of a file, in evaluation mode, and the name map that fits them.

    The number of classes is that of the file.

    Raises
    ------
    CheckpointError
        With every difference, if the weights are those of another network.
    """
    state = weights.read(path)
    options = {"aux": any(key.startswith("aux1.") for key in state)} if name in cnn.inception.VARIANTS else {}
    net = BUILDERS[name](name, rng=Blank(), **options)
    names = fitting_names(net, state)
    more = _published(name, names) | _classes(net, weights.MAPS.get(names, dict)(state))
    if more:
        del net                                         # its memory goes first
        net = BUILDERS[name](name, rng=Blank(), **options, **more)
    try:
        weights.load_arrays(net, state, names=names)
    except CheckpointError as e:
        raise CheckpointError(f"predict: --weights is {str(path)!r}: {e}") from None
    return net.eval(), names


def fitting_names(net, state):
    """None if the names of `state` are those of `net`, else the map of `weights.MAPS` that makes them so, if any."""
    wanted = _names(net.state_dict())
    for names, translate in (None, dict), *weights.MAPS.items():
        try:
            if _names(translate(state)) == wanted:
                return names
        except CheckpointError:                         # a map for other networks
            continue
    return None


def _names(state):
    return {name for name in state if not name.endswith("num_batches_tracked")}


def _published(name, names):
    """Options of networks that were published in another form than the library's."""
    if names == "legacy_senet":
        return {"ceil_pool": True} | ({"stride_in": "1x1"} if name.startswith("seresnet") else {})
    if names == "torchvision_efficientnet" and name[-1] in "567":
        return {"norm": partial(BatchNorm2d, eps=1e-3, momentum=0.01)}
    return {}


def _classes(net, state):
    """The option `num_classes` where the classifier in `state` has another number than that of `net`."""
    name, last = [(name, m) for name, m in net.named_modules() if isinstance(m, Linear)][-1]
    bias = state.get(f"{name}.bias")
    return {} if bias is None or bias.shape == last.bias.shape or bias.ndim != 1 else {"num_classes": len(bias)}


# Labels and the command ---------------------------------------------------------------------------------------


def read_labels(path):
    """Names of classes from a file: one a line, or a JSON list.

    Raises
    ------
    DataMissingError, DataFormatError, LimitError
        Also for names that are empty or cannot be printed.
    """
    try:
        text = read_limited(path, 10**7).decode("utf-8-sig")
        labels = json.loads(text) if text.lstrip()[:1] in ("[", "{") else text.splitlines()
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as e:
        raise DataFormatError(f"predict: --labels is {str(path)!r}, expected one name a line or a JSON list: "
                              f"{e}") from None
    if not isinstance(labels, list) or not labels:
        raise DataFormatError(f"predict: --labels is {str(path)!r}, expected one name a line or a JSON list")
    for n, label in enumerate(labels):
        if not isinstance(label, str) or not label.strip() or not label.isprintable():
            raise DataFormatError(f"predict: name {n} of --labels is {label!r:.40}, expected printable text")
    return labels


def predict(name, image, path, *, labels=None, top=5):
    """The `top` most likely classes of an image file, by falling probability.

    Parameters
    ----------
    name : str
        Of a network: one of `BUILDERS`.
    image : path of a PNG or JPEG file
    path : path of a ``.safetensors`` or ``.npz`` file
    labels : list of str, optional
        One name for each class.
    top : int, default 5

    Returns
    -------
    list of Prediction

    Raises
    ------
    UsageError, CheckpointError, DivergenceError, DataMissingError, DataFormatError
    """
    choose("predict", "MODEL", name, list(BUILDERS))
    pixels = read_image(image)
    try:
        net, names = network(name, path)
    except ArgError as e:                               # the name of the file says nothing known
        raise UsageError(f"predict: --weights: {e}") from None
    with no_grad():
        logits = net(Tensor(prepare(pixels, recipe(name, names)))).data[0].astype(np.float64)
    if labels is not None and len(labels) != len(logits):
        raise DataFormatError(f"predict: --labels has {len(labels)} names, expected {len(logits)}, the number of "
                              "classes of the weights")
    if not np.isfinite(logits).all():
        raise DivergenceError(f"predict: {(~np.isfinite(logits)).sum()} logits are not finite, expected numbers; are "
                              "the weights sound?")
    p, order = softmax(logits), np.argsort(-logits, kind="stable")
    return [Prediction(k, labels[k] if labels else "", p[k].item()) for k in order[:top].tolist()]


def predict_command(args):
    """Print the likely classes of a photograph as a table."""
    choose("predict", "MODEL", args.model, list(BUILDERS))
    labels = None if args.labels is None else read_labels(args.labels)
    found = predict(args.model, args.image, args.weights, labels=labels, top=args.top)
    if args.json:
        commands.print_json({"model": args.model, "image": str(args.image), "top": [p._asdict() for p in found]})
        return 0
    rows = [(p.index, *([p.label] if labels else []), f"{p.probability:.6f}") for p in found]
    head = ("class", *(["label"] if labels else []), "probability")
    for line in terminal.table(head, rows, terminal.width()):
        commands.write(line)
    return 0
