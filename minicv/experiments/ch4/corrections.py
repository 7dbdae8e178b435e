"""Section 4.3: boxes as corrections of proposals, and the loss that compares them."""

import numpy as np

from ...autograd import Tensor
from ...errors import ArgError, BoxError
from ...geometry import box_convert, decode_boxes, encode_boxes
from ...nn import huber, l1, mse, smooth_l1
from ...optim import SGD
from .. import Report, Target, experiment
from ..parts import exact, panels, refused
from ._boxes import random_boxes
from ._errata import departures

NOTEBOOK = "notebooks/42_proposals.py"


@experiment(
    "bbox-codec", title="Corrections of boxes", chapter="4.3", notebook=NOTEBOOK, module="minicv/geometry/codec.py",
    paper="Girshick et al. 2014, Rich feature hierarchies, appendix C, equations 6-9",
    equations="dx = (x - xa) / wa, dy = (y - ya) / ha, dw = ln(w / wa), dh = ln(h / ha)",
    shows="Relative corrections have the same spread for small and large objects; differences in pixels do not.",
    departures="dw and dh are cut at ln(1000/16) when decoding, as common code does.",
    targets=[*exact({"dx": (0.2, 1e-12), "dy": (0.25, 1e-12), "dw": (0.4055, 5e-5), "dh": (-0.6931, 5e-5),
                     "largest_growth": (62.5, 1e-9), "bad_boxes_refused": 4}),
             Target("worst_round_trip", "<=", 1e-10, tag="E"),
             Target("changed_by_shift_and_scale", "<=", 1e-10, tag="E"),
             Target("pixel_spread_large_over_small", ">=", 6), Target("code_spread_large_over_small", "<=", 1.2)])
def bbox_codec(preset, rng, out, progress):
    count = {"smoke": 200, "fast": 20_000, "full": 200_000}[preset]
    boxes, anchors = random_boxes(rng, count), random_boxes(rng, count)
    pair = np.array([[54.0, 60, 30, 20], [50, 50, 20, 40]])
    example = encode_boxes(*box_convert(pair, "cxcywh", "xyxy")[:, None])
    codes = encode_boxes(boxes, anchors)
    grown = decode_boxes(np.array([[0, 0, 50.0, 0]]), anchors[:1])
    pixels, relative = _spreads(rng, count)
    metrics = dict(zip(("dx", "dy", "dw", "dh"), example[0], strict=True)) | {
        "worst_round_trip": np.abs(decode_boxes(codes, anchors) - boxes).max(),
        "changed_by_shift_and_scale": np.abs(encode_boxes(3 * boxes + 5, 3 * anchors + 5) - codes).max(),
        "largest_growth": (grown[0, 2] - grown[0, 0]) / (anchors[0, 2] - anchors[0, 0]),
        "bad_boxes_refused": refused(BoxError, *(
            lambda a=a: encode_boxes(boxes[:1], np.array([a])) for a in (
                [0, 0, 0.0, 1], [0, 0, 1.0, 0], [1.0, 0, 0, 1], [0, 0, np.nan, 1]))),
        "pixel_spread_large_over_small": pixels[-1].std() / pixels[0].std(),
        "code_spread_large_over_small": relative[-1].std() / relative[0].std()}
    return Report(metrics, {"What the network has to predict": lambda: _spread_figure(pixels, relative)})


SIDES = (16, 32, 64, 128)


def _spreads(rng, count):
    """Differences in pixels, and corrections, between objects of four sizes and proposals with IoU of about 0.7."""
    pixels, relative = [], []
    for side in SIDES:
        boxes = random_boxes(rng, count) * 0 + [0, 0, side, side]
        proposals = boxes + 0.1 * side * rng.standard_normal(boxes.shape)
        good = (proposals[:, 2:] - proposals[:, :2] > 1).all(axis=1)
        pixels.append(box_convert(boxes[good], "xyxy", "cxcywh") - box_convert(proposals[good], "xyxy", "cxcywh"))
        relative.append(encode_boxes(boxes[good], proposals[good]))
    return pixels, relative


def _spread_figure(pixels, relative):
    figure, axes = panels(2, (4.6, 3.4))
    for ax, values, title in zip(axes, (pixels, relative), ("pixels", "corrections"), strict=True):
        for side, v, dash in zip(SIDES, values, ("-", "--", "-.", ":"), strict=True):
            heights, edges = np.histogram(v.ravel(), bins=60, density=True)
            ax.plot((edges[1:] + edges[:-1]) / 2, heights, dash, label=f"objects of {side} pixels")
        ax.set(xlabel=title, ylabel="density")
    axes[1].legend()
    return figure


@experiment(
    "smooth-l1", title="Smooth L1 and Huber loss", chapter="4.3", notebook=NOTEBOOK, module="minicv/nn/losses.py",
    paper="Huber 1964, Robust estimation of a location parameter; Girshick 2015, Fast R-CNN, equation 3",
    equations="a^2 / (2 beta) where |a| < beta, else |a| - beta / 2; Huber_delta = delta * smooth L1 with beta = delta",
    shows="Quadratic near zero, linear far away: the gradient is bounded, so outliers cannot bend the fit.",
    departures=departures("E4.10") + " beta = 0 is allowed and means L1, as in common code.",
    targets=[*exact({
        "huber_minus_scaled_smooth_l1": (0, 1e-12), "jump_at_beta": (0, 1e-9), "slope_jump_at_beta": (0, 1e-6),
        "value_at_1": 0.5, "value_at_3": 2.5, "bad_settings_refused": 3, "largest_gradient": 1}),
        Target("error_over_l2_error", "<=", 0.3), Target("offset_error_smooth_l1", "~", 1 / 9, tol=0.04)])
def smooth(preset, rng, out, progress):
    d = np.linspace(-5, 5, 10_001)
    x, y = _points(rng)
    steps = {"smoke": 20, "fast": 2000, "full": 5000}[preset]
    fits = {name: _fit(loss, x, y, steps) for name, loss in progress(LOSSES.items(), desc="fitting")}
    errors = {name: np.abs(line - TRUE_LINE).max() for name, line in fits.items()}
    metrics = _properties(d) | {
        "bad_settings_refused": refused(ArgError, lambda: smooth_l1(d, d, beta=-1.0), lambda: huber(d, d, delta=0.0),
                                        lambda: smooth_l1(d, d, beta=np.nan)),
        "offset_error_smooth_l1": fits["smooth L1"][1] - TRUE_LINE[1],
        "error_over_l2_error": errors["smooth L1"] / errors["L2"]}
    return Report(metrics, {"Losses and their gradients": lambda: _curves(d),
                            "A line through points with outliers": lambda: _lines(fits, x, y)},
                  {"Largest error of slope and offset": [{"loss": k, "error": round(v, 4)} for k, v in errors.items()]})


# A share e of outliers, all on one side, pulls with slope 1 each; the others, still in the quadratic part, pull back
# with the offset d: e = (1 - e) d, so that d = 1/9 for e = 1/10, however far away the outliers are.
TRUE_LINE = np.array([2.0, -1.0])                           # slope, offset
LOSSES = {"L2": lambda x, t: 0.5 * mse(x, t), "L1": l1, "smooth L1": smooth_l1}


def _properties(d, betas=(0.1, 0.5, 1.0, 2.0), step=1e-10):
    """What holds for every beta: the relation to Huber, no jump of value or slope, gradients of at most 1."""
    sides = np.array([[(_value(b + s * step, b), _slope(b + s * step, b)) for s in (-1, 1)] for b in betas])
    jumps = np.abs(sides[:, 1] - sides[:, 0]).max(axis=0)
    apart = [huber(d, 0 * d, delta=b, reduction="none") - b * _value(d, b) for b in betas]
    return {"huber_minus_scaled_smooth_l1": np.abs(apart).max(), "jump_at_beta": jumps[0],
            "slope_jump_at_beta": jumps[1], "value_at_1": _value(1.0, 1.0), "value_at_3": _value(3.0, 1.0),
            "largest_gradient": max(np.abs(_slope(d, b)).max() for b in betas)}


def _value(d, beta):
    return smooth_l1(np.asarray(d), np.zeros_like(d), beta=beta, reduction="none")


def _slope(d, beta):
    x = Tensor(np.asarray(d), requires_grad=True)
    smooth_l1(x, np.zeros_like(d), beta=beta, reduction="sum").backward()
    return x.grad.data


def _points(rng, count=200, outliers=0.1):
    """x and y on a line with a little noise, but a tenth of them far off to one side."""
    x = rng.uniform(-1, 1, count)
    y = TRUE_LINE[0] * x + TRUE_LINE[1] + 0.1 * rng.standard_normal(count)
    return x, y + (np.arange(count) < outliers * count) * 10 * (1 + x)


def _fit(loss, x, y, steps):
    """Slope and offset by gradient descent."""
    features, line = np.stack([x, np.ones_like(x)], axis=1), Tensor(np.zeros(2), requires_grad=True)
    optimizer = SGD([line], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(Tensor(features) @ line, y).backward()
        optimizer.step()
    return line.data


def _curves(d):
    figure, (left, right) = panels(2, (4.6, 3.4))
    curves = {"L2": (d * d / 2, d), "L1": (np.abs(d), np.sign(d))}
    curves |= {f"smooth L1, beta {b:g}": (_value(d, b), _slope(d, b)) for b in (1.0, 2.0)}
    for (label, (value, slope)), dash in zip(curves.items(), ("-", ":", "--", "-."), strict=True):
        left.plot(d, value, dash, label=label)
        right.plot(d, slope, dash)
    left.set(xlabel="difference", ylabel="loss", ylim=(0, 5))
    right.set(xlabel="difference", ylabel="gradient", ylim=(-3, 3))
    left.legend()
    return figure


def _lines(fits, x, y):
    figure, (ax,) = panels(1, (6.0, 4.0))
    ax.plot(x, y, ".", color="gray", markersize=4)
    ends = np.array([-1.0, 1.0])
    for (label, line), dash in zip(fits.items(), ("-", ":", "--"), strict=True):
        ax.plot(ends, line[0] * ends + line[1], dash, label=label)
    ax.set(xlabel="x", ylabel="y")
    ax.legend()
    return figure
