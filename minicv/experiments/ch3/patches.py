"""Section 3.2: pixels as tokens, and patches of them."""

import numpy as np

from ...data import Glyphs10, Shapes10
from ...errors import LimitError, ShapeError
from ...metrics import accuracy
from ...nn import Conv2d, cost, init
from ...plot import PALETTE, show_images
from ...plot.vit import show_patches
from ...vit import PatchEmbedding, attention_bytes, patchify, pixel_transformer, unpatchify
from .. import Report, Target, experiment
from ..classify import scores
from ..parts import exact, panels, refused
from ._errata import departures
from ._tiny import NOTEBOOK, PAPER, largest, pictures, shuffled, tiny, trained

# Pixels -----------------------------------------------------------------------------------------------------


@experiment(
    "pixel-transformer", title="Every pixel a token", chapter="3.2", notebook=NOTEBOOK, paper=PAPER + ", section 1",
    equations="weights = layers heads (H W)^2", module="minicv/vit/pixels.py",
    shows="Attention weights grow with the fourth power of the side: fine for 8 x 8 pixels, hopeless for 224 x 224.",
    departures=departures("E3.10"),
    targets=[*exact({"tokens": 50_176, "weights": 2_517_630_976, "one_matrix_gb": (5.035, 5e-4),
                     "all_matrices_gb": (483.4, 0.05), "all_matrices_gib": (450.2, 0.05), "vit_b_16_mb": (11.2, 0.05),
                     "refused": 3, "says_the_bytes": 1}), Target("order_changes", "<", 1e-10, tag="E"),
             Target("accuracy", ">=", 0.5)])
def pixels(preset, rng, out, progress):
    count, epochs = {"smoke": (64, 1), "fast": (1500, 4), "full": (5000, 20)}[preset]
    gigabytes = attention_bytes(224 * 224, layers=12, heads=8, dtype=np.float16) / 1e9
    data = [Glyphs10(n, size=8, blur=0.3, seed=int(rng.integers(2**31))) for n in (count, 500)]
    train, test = ({key: np.stack([s[key] for s in part]) for key in ("image", "label")} for part in data)
    options = {"in_channels": 1, "num_classes": 10, "batch": 250}
    net = trained(pixel_transformer(8, 32, 2, 2, rng=rng, **options), train, epochs, rng, progress)
    blind = pixel_transformer(8, 32, 2, 2, positions="none", rng=rng, **options).astype(np.float64).eval()
    init.assign(blind.head.weight, rng.standard_normal((10, 32)))
    x = test["image"][:4].astype(np.float64)
    message = _message(lambda: pixel_transformer(224, 32, 12, 8))
    metrics = {
        "tokens": 224**2, "weights": attention_bytes(224**2, dtype=np.int8),
        "one_matrix_gb": attention_bytes(224**2, dtype=np.float16) / 1e9, "all_matrices_gb": gigabytes,
        "all_matrices_gib": gigabytes * 1e9 / 2**30,
        "vit_b_16_mb": attention_bytes(197, layers=12, heads=12, dtype=np.float16) / 1e6,
        "refused": refused(LimitError, *(lambda side=side: pixel_transformer(side, 32, 12, 8, **options)
                                         for side in (28, 64, 224))),
        "says_the_bytes": str(attention_bytes(1 + 224**2, layers=12, heads=8)) in message,
        "order_changes": largest(scores(blind, x), scores(blind, shuffled(x, 1, rng))),
        "accuracy": accuracy(scores(net, test["image"]), test["label"])}
    rows = [{"side": side, "tokens": side**2, "weights": attention_bytes(side**2, layers=12, heads=8, dtype=np.int8),
             "half precision": _size(attention_bytes(side**2, layers=12, heads=8, dtype=np.float16))}
            for side in (8, 16, 32, 64, 128, 224)]
    return Report(metrics, {"Memory of attention weights": _memory,
                            "Digits of 8 x 8 pixels": lambda: _digits(test["image"])},
                  {"Attention weights of 12 layers with 8 heads, every pixel a token": rows})


def _message(call):
    try:
        call()
    except LimitError as error:
        return str(error)
    return ""


def _size(count):
    return next(f"{count / size:.3g} {unit}" for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
                if count >= size)


def _memory():
    figure, (ax,) = panels(1, (6.0, 3.8))
    sides = np.arange(16, 257, 16)
    for patch, style in ((1, "-"), (4, "--"), (16, "-.")):
        need = [attention_bytes((side // patch) ** 2, layers=12, heads=8, dtype=np.float16) for side in sides]
        ax.plot(sides, need, style, label="pixels" if patch == 1 else f"patches of {patch} x {patch}")
    ax.axvline(224, color="gray", linewidth=1)
    ax.set(yscale="log", xlabel="side of the image in pixels", ylabel="bytes in 12 layers of 8 heads")
    ax.legend()
    return figure


def _digits(images):
    return show_images(images[:12], columns=6).figure


# Patches ----------------------------------------------------------------------------------------------------


@experiment(
    "patch-embedding", title="Patch embedding", chapter="3.2", notebook=NOTEBOOK, paper=PAPER + ", eq. 1",
    equations="z_i = W_E flatten(patch i) + b + p_i", module="minicv/vit/patch.py",
    shows="Cutting, flattening and projecting patches is one convolution whose stride is its size; small patches cost "
          "more.", departures="W_E has a bias.",
    targets=[Target("convolution_error", "<", 1e-10, tag="E"), Target("product_error", "<", 1e-10, tag="E"),
             *exact({"round_trip_error": 0, "refused": 4, "tokens_b_16": 196, "numbers_in_a_patch": 768})])
def patch_embedding(preset, rng, out, progress):
    count, epochs, sizes = {"smoke": (64, 1, (8,)), "fast": (1000, 3, (2, 4, 8)),
                            "full": (16_000, 12, (2, 4, 8))}[preset]
    embed = PatchEmbedding((4, 8), 12, rng=rng).astype(np.float64)
    conv = Conv2d(3, 12, (4, 8), stride=(4, 8), rng=rng).astype(np.float64)
    conv.load_state_dict(embed.proj.state_dict())
    x = rng.standard_normal((2, 3, 16, 24))
    found, weight = embed(x).data, embed.proj.weight.data.reshape(12, -1)
    metrics = {
        "convolution_error": largest(found, conv(x).data.reshape(2, 12, 12).swapaxes(1, 2)),
        "product_error": largest(found, patchify(x, (4, 8)) @ weight.T + embed.proj.bias.data),
        "round_trip_error": max(largest(unpatchify(patchify(x, size), size, (16 // size[0], 24 // size[1])), x)
                                for size in ((1, 1), (4, 8), (16, 24))),
        "refused": refused(ShapeError, *(lambda size=size: patchify(x, size) for size in (5, 16, (4, 7), (3, 8)))),
        "tokens_b_16": patchify(np.zeros((1, 3, 224, 224)), 16).shape[1],
        "numbers_in_a_patch": patchify(np.zeros((1, 3, 224, 224)), 16).shape[2]}
    train, test = pictures(preset, rng, count=count)
    rows = []
    for size in sizes:
        net = trained(tiny(rng, patch=size, dim=32, depth=2, heads=2), train, epochs, rng, progress)
        rows.append({"patch": size, "tokens": (32 // size) ** 2, "million MACs": cost(net, (1, 3, 32, 32)).macs / 1e6,
                     "accuracy": round(accuracy(scores(net, test["image"]), test["label"]), 3)})
    metrics |= {f"accuracy_patch_{row['patch']}": row["accuracy"] for row in rows}
    image = Shapes10(1, seed=4)[0]["image"]
    return Report(metrics, {"An image and its patches as rows": lambda: _rows(image),
                            "Patch size, accuracy and cost": lambda: _patch_sizes(rows)},
                  {"A small transformer on patches of several sizes (observed)": rows})


def _rows(image):
    figure, (left, right) = panels(2, (3.9, 3.6))
    show_patches(image, 8, ax=left)
    left.set_title("C x H x W, cut into P x P")
    right.imshow(patchify(image[None], 8)[0], cmap="gray", aspect="auto", vmin=0, vmax=1)
    right.set(title="one row for each patch", xlabel="channel, row, column within the patch", ylabel="patch",
              yticks=range(0, 16, 3), yticklabels=range(1, 17, 3))
    right.grid(False)
    return figure


def _patch_sizes(rows):
    figure, (left, right) = panels(2, (3.9, 3.2))
    sizes = [str(row["patch"]) for row in rows]
    left.bar(sizes, [row["accuracy"] for row in rows], color=PALETTE[0])
    right.bar(sizes, [row["million MACs"] for row in rows], color=PALETTE[1])
    left.set(xlabel="side of a patch", ylabel="test accuracy", ylim=(0, 1))
    right.set(xlabel="side of a patch", ylabel="million multiply-adds")
    return figure
