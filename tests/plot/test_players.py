"""Players of the chapters: every frame shows what the library computes.

Proved: gradients of the backward sweep are those of the engine; points of paths stand where the axes say; what
suppression keeps is what `nms` keeps; thresholds agree with the step table; areas are weights and cells are votes;
generation shows the probabilities it was given. All are clean drawings with titles to hover over, slips are refused,
and no figure stays open.
"""

import re
from xml.etree import ElementTree

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from minicv.autograd.scalar import Scalar  # noqa: E402
from minicv.ensembles import AdaBoostClassifier  # noqa: E402
from minicv.errors import ArgError, ShapeError  # noqa: E402
from minicv.geometry import Detections, Targets, nms  # noqa: E402
from minicv.metrics import step_table  # noqa: E402
from minicv.plot import (  # noqa: E402
    backprop_player,
    boosting_player,
    decoding_player,
    nms_player,
    paths_player,
    threshold_player,
    windows_player,
)
from minicv.plot.overlay import Overlay, shape  # noqa: E402

NS = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    plt.close("all")
    yield
    assert plt.get_fignums() == []


def elements(frame, name):
    return list(ElementTree.fromstring(frame).iter(NS + name))


def titles(frame):
    return [e.text for e in elements(frame, "title")]


# Overlays -------------------------------------------------------------------------------------------------------------


def test_a_shape_is_escaped_and_short():
    assert shape("circle", r=1 / 3, cx=-0.01, x=None, stroke_width=2) == '<circle r="0.3" cx="0" stroke-width="2"/>'
    assert shape("text", "<tspan/>", title="a<b", fill='"') == \
        '<text fill="&quot;"><title>a&lt;b</title><tspan/></text>'


def test_an_overlay_finds_the_pixels_of_the_data():
    """A black dot drawn by matplotlib is where the overlay says."""
    figure, ax = plt.subplots(figsize=(4, 3), layout="constrained")
    ax.set(xlim=(0, 10), ylim=(-5, 5), ylabel="y", title="t")
    overlay = Overlay(figure)
    ax.set_axis_off()
    ax.title.set_visible(False)
    ax.plot([2.5], [-1.5], "ko", markersize=6)
    figure.canvas.draw()
    dark = np.argwhere(np.asarray(figure.canvas.buffer_rgba())[..., 0] < 128).mean(axis=0)[::-1] * 72 / figure.dpi
    np.testing.assert_allclose(overlay.at(ax, [2.5, -1.5]), dark, atol=1)
    assert 'viewBox="0 0 288 216"' in overlay.frame([])
    plt.close(figure)


def test_a_line_leaves_out_what_cannot_be_seen_but_never_its_ends():
    figure, ax = plt.subplots()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    overlay, x = Overlay(figure), np.linspace(0, 1, 5001)
    line = re.search("points=\"(.*?)\"", overlay.line(ax, np.c_[x, x]))[1]
    places = np.array([p.split(",") for p in line.split()], float)
    assert len(places) < 600 and np.abs(np.diff(places, axis=0)).max() < 1.1
    np.testing.assert_allclose(places[[0, -1]], overlay.at(ax, [[0, 0], [1, 1]]), atol=0.06)
    plt.close(figure)


# Backpropagation ------------------------------------------------------------------------------------------------------


def expression(x, w, b):
    s = x * w + b
    return s.tanh() * x + s * s


def test_gradients_of_the_last_frame_are_those_of_the_engine():
    numbers = [Scalar(v) for v in (0.8, -1.5, 0.7)]
    player = backprop_player(expression(*numbers), dict(zip("xwb", numbers, strict=True)))
    assert all(n.grad == 0 for n in numbers)                                       # untouched
    again = [Scalar(v) for v in (0.8, -1.5, 0.7)]
    expression(*again).backward()
    for name, n in zip("xwb", again, strict=True):
        assert f"{name} = {n.data:.6g}, gradient {n.grad:.6g}" in titles(player.frames[-1])
    assert not any("gradient" in t for t in titles(player.frames[0]))
    assert len(player.frames) == 2 + 6 and len(elements(player.frames[0], "rect")) == 9        # 6 operations, 9 nodes


def test_a_number_used_twice_gets_both_contributions():
    x = Scalar(3.0)
    player = backprop_player(x * x + x, {"x": x})
    assert player.labels[-2:] == ["v2 passes 1 back: v1 gets 1 · 1, together 1; x gets 1 · 1, together 1",
                                  "v1 passes 1 back: x gets 1 · 3 + 1 · 3, together 7"]
    assert titles(player.frames[-1]).count("local derivative 3, passes 3") == 2


def test_nodes_never_overlap_and_edges_point_right():
    x = [Scalar(float(k)) for k in range(5)]
    y = x[0]
    for k in range(1, 5):
        y = y * x[k] + x[0]
    frame = backprop_player(y).frames[-1]
    corners = {(float(r.get("x")), float(r.get("y"))) for r in elements(frame, "rect")}
    assert len(corners) == len(elements(frame, "rect")) == 13
    for path in elements(frame, "path"):
        x0, x1 = (float(v) for v in re.match(r"M([\d.]+) .*Q\S+ \S+ ([\d.]+)", path.get("d")).groups())
        assert x0 < x1


def test_a_number_from_nowhere_is_refused():
    with pytest.raises(ArgError, match="backprop_player: output has no sources"):
        backprop_player(Scalar(1.0))


# Paths ----------------------------------------------------------------------------------------------------------------


def bowl(points):
    return points[:, 0] ** 2 + 4 * points[:, 1] ** 2


WALK = np.array([[2.0, 1.0], [1.0, -0.5], [0.5, 0.25], [0.25, 0.0]])


def test_more_paths_than_dashes_start_again_with_a_whole_line():
    player = paths_player((bowl, (-3, 3), (-2, 2), {f"path {k}": WALK for k in range(5)}), steps=[2])
    assert player.frames[-1].count("<polyline") == 5 and player.frames[-1].count("stroke-dasharray") == 3


def test_paths_grow_step_by_step_and_tell_their_values():
    player = paths_player((bowl, (-3, 3), (-2, 2), {"SGD": WALK, "other": WALK[:2]}), steps=[0, 2, 3])
    assert player.labels == ["after 0 steps: SGD f = 8, other f = 8", "after 2 steps: SGD f = 0.5, other f = 2",
                             "after 3 steps: SGD f = 0.0625, other f = 2"]
    assert [len(elements(f, "circle")) for f in player.frames] == [2, 4, 5]         # other waits at its last point
    assert titles(player.frames[1])[:2] == ["SGD, step 0: (2, 1), f = 8", "SGD, step 2: (0.5, 0.25), f = 0.5"]
    lines = elements(player.frames[2], "polyline")
    assert [len(line.get("points").split()) for line in lines] == [4, 2]
    assert lines[0].get("stroke-dasharray") != lines[1].get("stroke-dasharray")


def test_points_of_a_path_are_an_affine_image_of_the_data():
    frame = paths_player((bowl, (-3, 3), (-2, 2), {"SGD": WALK})).frames[-1]
    places = np.array([p.split(",") for p in elements(frame, "polyline")[0].get("points").split()], float)
    design = np.c_[WALK, np.ones(4)]
    fitted = design @ np.linalg.lstsq(design, places, rcond=None)[0]
    np.testing.assert_allclose(places, fitted, atol=0.1)
    assert places[0, 0] > places[-1, 0] and places[1, 1] > places[0, 1]             # y downwards


def test_several_landscapes_stand_side_by_side_and_paths_stop_at_the_edge():
    wild = np.array([[0.0, 0.0], [50.0, 0.0]])
    player = paths_player((bowl, (-3, 3), (-2, 2), {"calm": WALK}), (bowl, (-1, 1), (-1, 1), {"wild": wild}),
                          log=(True, False))
    assert player.labels[-1] == "after 3 steps: calm f = 0.0625, wild f = 2.5e+03"
    assert len([t for t in titles(player.frames[-1]) if t.startswith("wild")]) == 1     # the point outside is not drawn
    width = float(ElementTree.fromstring(player.frames[0]).get("viewBox").split()[2])
    assert all(float(p.split(",")[0]) < width for e in elements(player.frames[-1], "polyline")
               for p in e.get("points").split())


@pytest.mark.parametrize("call, error, words", [
    (lambda: paths_player(), ArgError, "landscapes is empty"),
    (lambda: paths_player((bowl, (0, 1), (0, 1), {"a": np.zeros((3, 3))})), ShapeError, "shape .3, 3."),
    (lambda: paths_player((bowl, (0, 1), (0, 1), {"a": WALK}), steps=[-1]), ArgError, "steps is")])
def test_malformed_paths_are_refused(call, error, words):
    with pytest.raises(error, match=f"paths_player: .*{words}"):
        call()


# Detections -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_what_suppression_keeps_is_what_nms_keeps(threshold):
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 30, (20, 2))
    boxes, scores = np.c_[corner, corner + rng.uniform(5, 20, (20, 2))], rng.permutation(20) / 20
    player = nms_player(boxes, scores, threshold)
    kept = nms(boxes, scores, threshold)
    assert [int(re.match(r"box (\d+)", label)[1]) for label in player.labels[1:]] == kept.tolist()
    rects = [elements(f, "rect") for f in player.frames]
    assert len(rects[0]) == 20 and len(rects[-1]) >= len(kept)
    assert sum(r.get("stroke-width") == "3" for r in rects[-1]) == len(kept)
    gone = [sum(r.get("stroke-dasharray") is not None for r in some) for some in rects]
    assert sum(gone) == 20 - len(kept) and player.labels[-1].endswith("0 are left")


def test_a_box_that_goes_tells_the_overlap():
    player = nms_player([[0, 0, 2, 2], [0, 0, 2, 3], [5, 5, 6, 6]], [0.9, 0.8, 0.7], image=np.zeros((3, 8, 8)))
    assert "box 1, score 0.80, IoU 0.67 with box 0" in titles(player.frames[1]) and len(player.frames) == 3


def test_windows_of_a_cascade_are_counted_and_thinned():
    boxes = np.array([[i, i, i + 4, i + 4] for i in range(10)], float)
    passed = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    player = windows_player(np.zeros((1, 16, 16)), boxes, passed, found=boxes[:1], most=5)
    assert [elements(f, "path")[0].get("d").count("M") for f in player.frames] == [5, 5, 3, 1]
    assert elements(player.frames[2], "path")[0].get("d") == "".join(
        re.sub(r"\.0\b", "", "M{0:.1f} {1:.1f}H{2:.1f}V{3:.1f}H{0:.1f}z".format(*(331.2 / 16 * boxes[k]).round(1)))
        for k in (7, 8, 9))
    assert player.labels == ["after 0 stages: 10 of 10 windows are left (100.00%), 5 are drawn",
                             "after 1 stages: 6 of 10 windows are left (60.00%), 5 are drawn",
                             "after 2 stages: 3 of 10 windows are left (30.00%)",
                             "windows that overlap are averaged: 1 detections"]


@pytest.mark.parametrize("call, error, words", [
    (lambda: nms_player(np.zeros((0, 4)), []), ShapeError, "nms_player: boxes and scores"),
    (lambda: nms_player([[0, 0, 1, 1]], [1.0, 2.0]), ShapeError, "nms_player: boxes and scores"),
    (lambda: nms_player([[0, 0, 1, 1]], [1.0], 1.5), ArgError, "nms_player: threshold is 1.5"),
    (lambda: windows_player(np.zeros((1, 4, 4)), [[0, 0, 1, 1]], [1, 2]), ShapeError, "windows_player: boxes and")])
def test_malformed_detections_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def scene():
    """Two objects of class 0, one of class 1; two detections right, one twice, one of the other class."""
    target = Targets(boxes=[[0, 0, 10, 10], [20, 20, 30, 30], [40, 0, 50, 10]], labels=[0, 0, 1])
    found = Detections(boxes=[[0, 0, 10, 9], [1, 0, 10, 10], [20, 20, 30, 28], [40, 0, 50, 10]], labels=[0, 0, 0, 1],
                       scores=[0.9, 0.8, 0.6, 0.5])
    return found, target


def test_thresholds_agree_with_the_step_table():
    found, target = scene()
    player = threshold_player(found, target)
    rows = step_table([found], [target], num_classes=2)
    assert len(player.frames) == 1 + len(rows) == 4
    for row, label in zip(rows, player.labels[1:], strict=True):
        assert f"threshold {row['score']:.2f}: {row['tp']} right, {row['fp']} wrong" in label
    assert [len(elements(f, "rect")) for f in player.frames] == [0, 1, 2, 3]
    assert titles(player.frames[3])[:3] == ["right, score 0.90, IoU 0.90", "wrong, score 0.80, IoU 0.90",
                                            "right, score 0.60, IoU 0.80"]
    large = [c for c in elements(player.frames[2], "circle") if c.get("r") == "6"]
    assert len(large) == 1 and "recall 0.500" in large[0][0].text
    with pytest.raises(ArgError, match="threshold_player: prediction has no detection of class 2"):
        threshold_player(found, target, label=2)


# Boosting -------------------------------------------------------------------------------------------------------------


def boosted(rounds=4):
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (24, 2))
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    return AdaBoostClassifier(rounds).fit(x, y), x, y


def test_areas_are_weights_and_errors_are_crossed_out():
    model, x, y = boosted()
    player = boosting_player(model, x, y)
    assert len(player.frames) == 2 + 2 * 4
    weights = list(model.staged_weights(x, y))
    for j, frame in enumerate([player.frames[0], *player.frames[2:-1:2]]):
        told = {int(n): float(w) for n, w in (re.match(r"sample (\d+), .*weight (\S+)", t).groups()
                                              for t in titles(frame) if t.startswith("sample"))}
        np.testing.assert_allclose([told[n] for n in range(24)], weights[j], rtol=1e-3)
        half = {n: 0.0 for n in range(24)}
        for e in [*elements(frame, "circle"), *elements(frame, "rect")]:
            side = float(e.get("r") or float(e.get("width")) / 1.77)
            half[int(re.match(r"sample (\d+)", e[0].text)[1])] = side
        np.testing.assert_allclose(np.array(list(half.values())) ** 2 / 64, weights[j] * 24, rtol=0.1, atol=0.06)
    crosses = [p for p in elements(player.frames[1], "path") if "10 10" in p.get("d")]
    assert len(crosses) == (model.estimators_[0].predict(x) != y).sum()


def test_cells_of_the_vote_are_the_decision_of_the_model():
    """Every sample lies in a cell of the colour of its prediction."""
    model, x, y = boosted(6)
    player = boosting_player(model, x, y)
    cells = [e for e in elements(player.frames[-1], "rect") if e.get("fill-opacity") == "0.18"]
    spans = np.array([[float(c.get(k)) for k in ("x", "y", "width", "height")] for c in cells])
    marks = {int(re.match(r"sample (\d+)", e[0].text)[1]): e for name in ("circle", "rect")
             for e in elements(player.frames[-1], name) if len(e)}
    colors = sorted({c.get("fill") for c in cells}, key=lambda c: c != "#0072B2")
    for n, label in enumerate(model.predict(x)):
        e = marks[n]
        at = [float(e.get("cx")), float(e.get("cy"))] if e.tag == NS + "circle" else \
            [float(e.get(k)) + float(e.get("width")) / 2 for k in ("x", "y")]
        inside = ((spans[:, :2] <= at) & (at <= spans[:, :2] + spans[:, 2:])).all(axis=1)
        assert colors[label] in {cells[k].get("fill") for k in np.flatnonzero(inside)}
    assert player.labels[-1].endswith(f"{(model.predict(x) == y).sum()} of 24 are right")


# Generation -----------------------------------------------------------------------------------------------------------


def test_generation_shows_the_likeliest_tokens_and_the_attention():
    p = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    player = decoding_player([2, 1], [2, 0], p, ["E", "a", "<b>"], weights=[[1, 0], [0.25, 0.75]], top=2)
    assert player.labels == ["step 1: after the start comes <b> with probability 0.700",
                             "step 2: after <b> comes E with probability 0.500"]
    assert [t for t in titles(player.frames[1]) if "probability" in t] == ["E: probability 0.500000",
                                                                           "a: probability 0.300000"]
    assert [t for t in titles(player.frames[1]) if "attention" in t] == ["<b>: attention 0.2500", "a: attention 0.7500"]
    bars = [float(r.get("width")) for r in elements(player.frames[0], "rect") if r.get("height") == "12"]
    assert bars[0] / bars[1] == pytest.approx(0.7 / 0.2)
    assert "<b>" not in player.html().split("</style>")[1]


@pytest.mark.parametrize("arguments, words", [
    (([1], [1], [[0.5, 0.5]], "abc"), "expected .S,., .T,., .T, 3."), (([1], [], np.zeros((0, 2)), "ab"), "T >= 1")])
def test_malformed_generations_are_refused(arguments, words):
    with pytest.raises(ShapeError, match=f"decoding_player: .*{words}"):
        decoding_player(*arguments)
    with pytest.raises(ShapeError, match="decoding_player: weights has shape"):
        decoding_player([1], [1], [[0.5, 0.5]], "ab", weights=[[1, 2]])
