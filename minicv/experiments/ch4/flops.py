"""Section 4.3: what R-CNN and Fast R-CNN compute, counted in every convention."""

import numpy as np

from ... import nn
from ...autograd import op
from ...errors import ArgError
from .. import Report, experiment
from ..parts import exact, panels, refused
from ._errata import departures

CHANNELS = (96, 256, 384, 384, 256)


@experiment(
    "flops-counter", title="Operations of a network", chapter="4.3",
    notebook="notebooks/42_proposals.py", module="minicv/nn/cost.py",
    paper="Girshick 2015, Fast R-CNN; Krizhevsky, Sutskever & Hinton 2012",
    equations="MACs of a convolution = O I J C P Q / groups, of a linear layer = inputs * outputs; 2 MACs + biases",
    shows="From 8 proposals on one pass over the whole image is cheaper; then the linear layers are the bottleneck.",
    departures=departures("E4.11"),
    targets=exact({
        "crop_mmac": (1076.6, 0.05), "crop_mflop": (2153.9, 0.05), "image_mflop": (16307.4, 0.05),
        "image_mflop_without_bias": (16302.6, 0.05), "linear_mmac": (58.62, 0.005), "linear_mflop": (117.25, 0.005),
        "grouped_crop_mflop": (1331.6, 0.05), "break_even_proposals": 8, "rcnn_gflop_of_2000": (4308, 0.5),
        "linear_gflop_of_2000": (234.5, 0.05), "linear_share_of_2000": (0.935, 5e-4), "off_loops": 0,
        "unknown_op_refused": 1}))
def flops_counter(preset, rng, out, progress):
    crop, image = nn.cost(_alexnet(), (1, 3, 227, 227)), nn.cost(_alexnet(padding=2), (1, 3, 600, 600))
    grouped, linear = nn.cost(_alexnet(groups=2), (1, 3, 227, 227)), nn.cost(_linear(), (1, 9216))
    conv, whole, head = crop.flops(), image.flops(), linear.flops()
    metrics = {
        "crop_mmac": crop.macs / 1e6, "crop_mflop": conv / 1e6, "image_mflop": whole / 1e6,
        "image_mflop_without_bias": image.flops(bias=False) / 1e6, "linear_mmac": linear.macs / 1e6,
        "linear_mflop": head / 1e6, "grouped_crop_mflop": grouped.flops(bias=False) / 1e6,
        "break_even_proposals": int(np.ceil(whole / conv)), "rcnn_gflop_of_2000": 2000 * conv / 1e9,
        "linear_gflop_of_2000": 2000 * head / 1e9, "linear_share_of_2000": 2000 * head / (2000 * head + whole),
        "off_loops": _off_loops(rng), "unknown_op_refused": refused(ArgError, lambda: nn.cost(_Strange(), (2, 3)))}
    rows = [{"method": name, "convolutions MFLOP": c, "linear layers MFLOP": f"n * {head / 1e6:.0f}"}
            for name, c in (("R-CNN", f"n * {conv / 1e6:.0f}"), ("Fast R-CNN", f"{whole / 1e6:.0f}"))]
    layers = [{"layer": row.kind, "output": str(row.output), "MMAC": row.macs / 1e6, "MFLOP": row.flops() / 1e6}
              for row in crop.rows[1:] if row.macs]
    figure = "Operations against the number of proposals"
    return Report(metrics, {figure: lambda: _against_proposals(conv, whole, head)},
                  {"Table 4.1, n proposals": rows, "Convolutions of one crop": layers})


def _alexnet(*, groups=1, padding=0):
    """The convolutions of AlexNet with Caffe's sizes; the second, fourth and fifth have the groups."""
    a, b, c, d, e = CHANNELS
    return nn.Sequential(
        nn.Conv2d(3, a, 11, stride=4, padding=padding, rng=0), nn.MaxPool2d(3, stride=2),
        nn.Conv2d(a, b, 5, padding=2, groups=groups, rng=0), nn.MaxPool2d(3, stride=2),
        nn.Conv2d(b, c, 3, padding=1, rng=0), nn.Conv2d(c, d, 3, padding=1, groups=groups, rng=0),
        nn.Conv2d(d, e, 3, padding=1, groups=groups, rng=0))


def _linear():
    """The linear layers on 6 x 6 x 256 pooled features, for 1000 classes."""
    return nn.Sequential(*[nn.Linear(i, o, rng=0) for i, o in ((9216, 4096), (4096, 4096), (4096, 1000))])


def _off_loops(rng):
    """Difference between the count of a random small convolution and a count by loops, one product at a time."""
    c, o, k = (int(n) for n in rng.integers(1, 4, 3))
    size = int(rng.integers(k, 7))
    out = size - k + 1
    products = sum(1 for _ in np.ndindex(o, out, out, c, k, k))
    total = nn.cost(nn.Conv2d(c, o, k, rng=0), (1, c, size, size))
    return abs(total.macs - products) + abs(total.rows[0].biases - o * out * out)


@op
def _strange(x):
    """An op about whose cost nobody was told."""
    return x @ x.T


class _Strange(nn.Module):
    def forward(self, x):
        return _strange(x)


def _against_proposals(conv, whole, head):
    n = np.geomspace(1, 2000, 60)
    figure, (ax,) = panels(1, (6.4, 4.0))
    for label, flops, dash in (("R-CNN", n * (conv + head), "-"), ("Fast R-CNN", whole + n * head, "--"),
                               ("its convolutions", whole + 0 * n, ":"), ("its linear layers", n * head, "-.")):
        ax.loglog(n, flops / 1e9, dash, label=label)
    ax.axvline(whole / conv, color="gray", linewidth=1)
    ax.set(xlabel="proposals", ylabel="GFLOP")
    ax.legend()
    return figure
