# %% [markdown]
# # 40 Boxes, overlap and average precision
#
# **After this lesson you can** convert and mirror boxes, say how far a box may be off at a given IoU, decide which
# detections count as right, draw a precision-recall curve by hand, compute its average precision in four ways, and
# read the difference between AP50 and COCO's AP. About 15 s on two cores.

# %% [markdown]
# ## Goal and sources
#
# A detector answers with any number of boxes, each with a class and a score. Before building one we need a number that
# says how good such an answer is. This lesson derives it, step by step, from the overlap of two boxes.
#
# * P. Jaccard, *Étude comparative de la distribution florale*, Bulletin de la Société vaudoise 37, 1901: the ratio.
# * M. Everingham et al., *The Pascal Visual Object Classes (VOC) challenge*, IJCV 88, 2010: section 4.2.
# * T.-Y. Lin et al., *Microsoft COCO: common objects in context*, ECCV 2014.
# * H. Rezatofighi et al., *Generalized intersection over union*, CVPR 2019.
#
# In the library: `minicv/geometry/boxes.py`, `overlap.py`, `minicv/metrics/average_precision.py`, `detection.py`,
# `coco.py`.

# %%
import matplotlib.pyplot as plt
import numpy as np

from minicv.errors import ArgError, BoxError, DataFormatError
from minicv.experiments import asked_preset
from minicv.experiments.ch4.boxes import box_ops, iou
from minicv.experiments.ch4.metrics import det_metrics, worked_example
from minicv.geometry import box_area, box_convert, box_iou, flip_boxes, generalized_box_iou
from minicv.metrics import (
    average_precision,
    envelope,
    evaluate_coco_arrays,
    evaluate_detections,
    evaluate_voc,
    match_detections,
    precision_recall,
    step_table,
)
from minicv.plot import threshold_player

# %% [markdown]
# ## Derive
#
# ### A box, three ways to write it
#
# Pixel $i$ covers the interval $[i, i + 1)$. A box is given by two corners $(x_1, y_1, x_2, y_2)$ and contains
# $x_1 \le x < x_2$, so that its width is $w = x_2 - x_1$ without any "+ 1". Other formats hold the size or the center:
#
# $$w = x_2 - x_1, \qquad h = y_2 - y_1, \qquad c_x = \tfrac12 (x_1 + x_2), \qquad c_y = \tfrac12 (y_1 + y_2). \tag{1}$$
#
# If an image of width $W$ is mirrored, the point $x$ moves to $W - x$. The left edge becomes the right one:
#
# $$(x_1, x_2) \to (W - x_2,\; W - x_1). \tag{2}$$
#
# A frequent mistake is $W - 1 - x$, which is right for the *numbers* of pixels and wrong for edges.

# %%
box = np.array([[2.0, 3, 6, 5]])
assert box_convert(box, "xyxy", "xywh").tolist() == [[2, 3, 4, 2]]
assert box_convert(box, "xyxy", "cxcywh").tolist() == [[4, 4, 4, 2]]
painted = np.zeros((8, 10), bool)
painted[3:5, 2:6] = True                                                    # the pixels of the box
assert painted.sum() == box_area(box)[0] == 8
rows, columns = np.nonzero(painted[:, ::-1])                                # of the mirrored picture
seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
assert flip_boxes(box, (8, 10)).tolist() == [seen] == [[4, 3, 8, 5]]        # (2)

# %% [markdown]
# ### Overlap
#
# Two boxes are compared by the share of their common area in everything they cover, the **intersection over union**.
# The intersection of two boxes is a box again (or nothing), and the union follows from counting the common part only
# once:
#
# $$|A \cap B| = \big(\min(x_2, x_2') - \max(x_1, x_1')\big)_+ \big(\min(y_2, y_2') - \max(y_1, y_1')\big)_+, \tag{3}$$
#
# $$\mathrm{IoU}(A, B) = \frac{|A \cap B|}{|A \cup B|} = \frac{|A \cap B|}{|A| + |B| - |A \cap B|}. \tag{4}$$
#
# It lies in $[0, 1]$, does not depend on units, and is 1 only for equal boxes.
#
# > **Where notes and mathematics differ (E4.1).** A denominator that subtracts the *union* from the sum of the areas is
# > the area of the intersection, and the ratio is then always 1. Subtract the intersection.


# %%
def overlap_by_counting(a, b, extent=12):
    """IoU of two boxes with integer corners, by painting both."""
    y, x = np.mgrid[:extent, :extent]
    inside = [(x1 <= x) & (x < x2) & (y1 <= y) & (y < y2) for x1, y1, x2, y2 in (a, b)]
    return (inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum()


rng = np.random.default_rng(0)
for _ in range(200):
    (a, b) = (np.concatenate([low := rng.integers(0, 6, 2), low + rng.integers(1, 6, 2)]) for _ in range(2))
    assert np.isclose(box_iou(a[None], b[None])[0, 0], overlap_by_counting(a, b))       # (4)

# %% [markdown]
# ### How far may a box be off?
#
# Shift a box by the share $s$ of its width. The common part has the width $1 - s$, the union $1 + s$. Shifted by the
# same share in both directions, the common part is $(1 - s)^2$:
#
# $$\mathrm{IoU}_1(s) = \frac{1 - s}{1 + s}, \qquad \mathrm{IoU}_2(s) = \frac{(1 - s)^2}{2 - (1 - s)^2}. \tag{5}$$
#
# Solved for $s$, a threshold $t$ accepts a shift along one side of $s = (1 - t)/(1 + t)$: a third of the width at
# $t = 0.5$, a seventh at 0.75, and one part in 39 at 0.95. The usual 0.5 is generous, and 0.95 means one pixel for an
# object of 39 pixels.

# %%
shifts = {t: (1 - t) / (1 + t) for t in (0.5, 0.75, 0.95)}
for t, s in shifts.items():
    for moved, formula in (([s, 0, 1 + s, 1], (1 - s) / (1 + s)), ([s, s, 1 + s, 1 + s], (1 - s)**2 / (2 - (1 - s)**2))):
        assert np.isclose(box_iou(np.array([[0.0, 0, 1, 1]]), np.array([moved]))[0, 0], formula)      # (5)
    print(f"IoU {t}: a box of 100 pixels may be {100 * s:.1f} off to one side")
assert np.allclose([1 / s for s in shifts.values()], [3, 7, 39])

# %% [markdown]
# IoU has one weakness as a *loss*: it is 0 for all boxes that do not touch, near or far. With the hull $C$, the smallest
# box around both, the generalized IoU subtracts the share of the hull that belongs to neither box and keeps falling:
#
# $$\mathrm{GIoU} = \mathrm{IoU} - \frac{|C| - |A \cup B|}{|C|} \in (-1, 1]. \tag{6}$$
#
# ### When is a detection right?
#
# Take the detections of one class by falling score. Each goes to the object of its class with the highest IoU among
# those that are still free; it is a **true positive** if that IoU is at least the threshold, else a **false positive**.
# Objects that nobody took are **missed**.
#
# > **Where notes and common code differ (E4.2).** "Right class and IoU above the threshold" is not enough: then a
# > detector could repeat its best box a thousand times. Each object is matched once, the second detection of it is
# > *wrong*. And COCO and VOC ask for IoU $\ge$ threshold, not $>$.


# %%
def match_by_hand(ious, threshold):
    """For detections (rows) by falling score: the object each one takes, or -1."""
    free, taken = set(range(ious.shape[1])), []
    for row in ious:
        best = max(free, key=lambda g: row[g], default=-1)
        hit = best >= 0 and row[best] >= threshold
        taken.append(best if hit else -1)
        free -= {best} if hit else set()
    return taken


for _ in range(200):
    ious = rng.random((rng.integers(1, 9), rng.integers(1, 5)))
    assert match_detections(ious, threshold=0.5).objects.tolist() == match_by_hand(ious, 0.5)
same = np.array([[0.9], [0.9], [0.9]])
assert match_detections(same).objects.tolist() == [0, -1, -1]               # once, E4.2
assert match_detections(np.array([[0.5]])).objects.tolist() == [0]          # equality is enough
assert match_detections(np.array([[0.5]]), strict=True).objects.tolist() == [-1]

# %% [markdown]
# ### Precision and recall
#
# Keep the $k$ detections with the highest scores; $T_k$ of them are right, and there are $G$ objects:
#
# $$p_k = \frac{T_k}{k}, \qquad r_k = \frac{T_k}{G}. \tag{7}$$
#
# One more detection changes them to
#
# $$r_{k+1} = r_k + \frac{c}{G}, \qquad p_{k+1} = p_k + \frac{c - p_k}{k + 1}, \qquad c \in \{0, 1\}. \tag{8}$$
#
# > **Where notes and mathematics differ (E4.3).** "Recall decreases monotonically" holds in the score threshold, and not
# > strictly: by (8) recall never falls when the threshold is *lowered*. Precision can do either; it rises with each
# > right and falls with each wrong detection.

# %%
correct = rng.random(200) < np.linspace(0.95, 0.05, 200)
curve = precision_recall(correct, np.linspace(1, 0, 200), correct.sum() + 20)
steps = np.diff(curve.precision)
assert (np.diff(curve.recall) >= 0).all() and (np.diff(curve.recall) == 0).any()        # not strictly, E4.3
assert (steps[correct[1:]] >= 0).all() and (steps[~correct[1:]] < 0).all()              # (8)

# %% [markdown]
# ### One number for a curve
#
# The **average precision** is the area under precision as a function of recall. Recall moves only at true positives, by
# $1/G$ each, so the area is a mean over *objects*: the precision at the moment when each is found, and 0 for those that
# never are,
#
# $$\mathrm{AP} = \sum_k (r_k - r_{k-1})\, p_k = \frac1G \sum_{k:\,c_k = 1} p_k. \tag{9}$$
#
# Only the order of the scores matters: any increasing function of them gives the same AP. The curve is a saw; VOC (from
# 2010) first replaces each precision by the best one at this or a higher recall,
#
# $$\hat p_k = \max_{j \ge k} p_j, \tag{10}$$
#
# since nobody would choose a threshold that another one beats in both. VOC 2007 and COCO read the same envelope at fixed
# recalls and take the mean,
#
# $$\mathrm{AP}_{11} = \frac1{11} \sum_{i=0}^{10} \hat p(i/10), \qquad
#   \mathrm{AP}_{101} = \frac1{101} \sum_{i=0}^{100} \hat p(i/100), \tag{11}$$
#
# with $\hat p(r) = 0$ for recalls that are not reached. Finally **mAP** is the mean over the classes that have objects;
# COCO's AP is also the mean over ten IoU thresholds 0.50, 0.55, ..., 0.95.

# %%
p, r, G = curve.precision, curve.recall, correct.sum() + 20
assert np.isclose(average_precision(p, r, interpolation="area"), p[correct].sum() / G)          # (9)
best = [p[k:].max() for k in range(len(p))]
assert np.array_equal(envelope(p), best)                                                        # (10)
assert np.isclose(average_precision(p, r), np.array(best)[correct].sum() / G)
for points, name in ((11, "11pt"), (101, "101pt")):
    at = [max(p[r >= i / (points - 1) - 1e-12], default=0) for i in range(points)]
    assert np.isclose(average_precision(p, r, interpolation=name), np.mean(at), atol=1e-12)     # (11)
squashed = precision_recall(correct, np.linspace(1, 0, 200) ** 3, G)                            # other scores, same order
assert average_precision(squashed.precision, squashed.recall) == average_precision(p, r)

# %% [markdown]
# ## Check by hand
#
# **Two boxes.** (0, 0, 2, 2) and (1, 1, 3, 3) share one unit of area and cover $4 + 4 - 1 = 7$: IoU 1/7. The printed
# formula of E4.1 would give $1/(8 - 7) = 1$. Two unit squares with a gap of one between them have IoU 0 and a hull of
# area 3, one third of it empty: GIoU is -1/3.

# %%
a, b = np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 1, 3, 3]])
assert np.isclose(box_iou(a, b)[0, 0], 1 / 7)
assert 1 / (box_area(a)[0] + box_area(b)[0] - 7) == 1                        # E4.1
squares = np.array([[0.0, 0, 1, 1]]), np.array([[2.0, 0, 3, 1]])
assert box_iou(*squares)[0, 0] == 0 and np.isclose(generalized_box_iou(*squares)[0, 0], -1 / 3)

# %% [markdown]
# **A curve.** Five objects, eight detections. By falling score they are right, right, wrong, right, wrong, right, wrong,
# wrong: the third misses everything, the fifth finds an object for the second time, the seventh is too far off.

# %%
predictions, targets = worked_example()
table = step_table(predictions, targets, num_classes=1)
print("rank  score   IoU  verdict  TP  FP  precision  recall")
for row in table:
    print(f"{row['rank']:4d}{row['score']:7.2f}{row['iou']:6.2f}  {row['verdict']:7s}{row['tp']:4d}{row['fp']:4d}"
          f"{row['precision']:11.3f}{row['recall']:8.1f}")
assert np.allclose([row["precision"] for row in table], [1, 1, 2 / 3, 3 / 4, 3 / 5, 4 / 6, 4 / 7, 4 / 8])
assert np.allclose([row["recall"] for row in table], [0.2, 0.4, 0.4, 0.6, 0.6, 0.8, 0.8, 0.8])

# %% [markdown]
# The envelope (10) at the four true positives is 1, 1, 3/4 and 2/3, so $\mathrm{AP} = (1 + 1 + \frac34 + \frac23)/5 =
# 0.6833$. At the recalls 0, 0.1, ..., 1 it is 1 five times, 3/4 twice, 2/3 twice and 0 twice: $0.7121$. At 101 recalls it is 1
# for 41, 3/4 for 20, 2/3 for 20 and 0 for 20: $0.6865$. Three numbers for one detector; say which one you report.

# %%
p, r = (np.array([row[name] for row in table]) for name in ("precision", "recall"))
by_hand = {"interp-all": (1 + 1 + 3 / 4 + 2 / 3) / 5, "11pt": (5 + 2 * 3 / 4 + 2 * 2 / 3) / 11,
           "101pt": (41 + 20 * 3 / 4 + 20 * 2 / 3) / 101}
for (name, value), expected in zip(by_hand.items(), (0.6833, 0.7121, 0.6865)):
    assert np.isclose(value, expected, atol=5e-5)
    assert np.isclose(average_precision(p, r, interpolation=name), value)
assert np.isclose(average_precision(p, r, interpolation="area"), by_hand["interp-all"])      # here the saw has no teeth

# %% [markdown]
# **Player (the threshold).** Lower the score threshold and watch boxes appear on the left (objects are dashed) and the
# point move along the curve on the right: to the right for a true positive, straight down for a false one.

# %%
player = threshold_player(predictions[0], targets[0])
assert player.labels[-1].endswith("4 right, 4 wrong, precision 0.50, recall 0.80")
player

# %% [markdown]
# ## Use the library
#
# `evaluate_detections` does all of this for lists of images, `evaluate_voc` by the rules of either year, and
# `evaluate_coco_arrays` gives COCO's twelve figures in one pass. A class without any object has no AP, which is
# reported as NaN and left out of the mean.

# %%
scores = evaluate_detections(predictions, targets, num_classes=2)
assert np.isclose(scores.ap[0], by_hand["interp-all"]) and np.isnan(scores.ap[1])
assert scores.mean_ap == scores.ap[0]
assert np.isclose(evaluate_voc(predictions, targets, num_classes=1, year=2007).mean_ap, by_hand["11pt"])
coco = evaluate_coco_arrays(predictions, targets, num_classes=1).named()
print({name: round(float(coco[name]), 3) for name in ("AP", "AP50", "AP75")})
assert np.isclose(coco["AP50"], by_hand["101pt"])

for attempt in (
        lambda: box_iou(np.array([[0, 0, np.nan, 1]]), a),
        lambda: evaluate_detections({"photo": predictions[0]}, {"foto": targets[0]}, num_classes=1),
        lambda: average_precision(p, r, interpolation="12pt")):
    try:
        attempt()
    except (ArgError, BoxError, DataFormatError) as error:
        print(error)
    else:
        raise AssertionError("accepted")

# %% [markdown]
# ## Experiment
#
# ### Boxes
#
# **Figure (mirrored scene).** Image and boxes mirrored by (2). Over many scenes the boxes of mirrored masks are compared
# with mirrored boxes: not one differs.

# %%
report = box_ops(asked_preset()).check()
(draw,) = report.figures.values()
draw().set_dpi(80)
plt.show()
assert report.metrics["mask_boxes_differ"] == 0 and report.metrics["worst_round_trip"] < 1e-12

# %% [markdown]
# ### Overlap
#
# **Figure 4.1 (three detectors, one picture).** Few and sure boxes have perfect precision and miss
# objects; many of them find all objects among false alarms. Boxes that are clearly near the objects can all be wrong.

# %%
report = iou(asked_preset()).check()
scenarios, objects, falling = report.figures.values()
scenarios().set_dpi(80)
plt.show()
assert report.metrics["off_pixel_count"] < 1e-14 and report.metrics["bad_boxes_refused"] == 8

# %% [markdown]
# **Figure 4.2 (objects and detections)** and **figure (falling with a shift)**, which is (5): half of the IoU is lost by
# a shift of one third. GIoU goes on falling where IoU is 0.

# %%
objects().set_dpi(88)
plt.show()
falling().set_dpi(80)
plt.show()
assert np.isclose(report.metrics["giou_worked_example"], -1 / 3)

# %% [markdown]
# ### Average precision
#
# **Figure (one curve, three areas).** The curve of the worked example with what each rule measures.

# %%
report = det_metrics(asked_preset()).check()
areas, _, scene_and_curve, thresholds = report.figures.values()
areas().set_dpi(80)
plt.show()
assert np.isclose(report.metrics["ap_all_points"], by_hand["interp-all"])

# %% [markdown]
# **Figure (a scene and its curve).** Objects dashed, simulated detections solid.

# %%
scene_and_curve().set_dpi(84)
plt.show()
assert report.metrics["right_duplicates"] == 0 and report.metrics["recall_falls"] == 0

# %% [markdown]
# **Figure (thresholds).** *COCO's mean rewards exact boxes.* The same simulated detections with coordinates that are off
# by 0 to 3 pixels. At the threshold 0.5 a detector that is one pixel off loses nothing; averaged over ten thresholds it
# loses a third. Between two detectors with the same AP50 the AP tells which one places its boxes better.

# %%
thresholds().set_dpi(80)
plt.show()
print("jitter   AP   AP50   AP75")
for row in report.tables["less exact boxes"]:
    print(f"{row['jitter in pixels']:5.1f} {row['AP']:6.3f}{row['AP50']:7.3f}{row['AP75']:7.3f}")
print(f"kept at one pixel of jitter: AP50 {report.metrics['ap50_kept']:.0%}, AP {report.metrics['coco_ap_kept']:.0%}")
assert report.metrics["coco_minus_ten_evaluations"] < 1e-9                  # fast code = mean of ten slow evaluations

# %% [markdown]
# ## Exercises
#
# **1.** A box is too large by the share $q$ in both directions, with the right center. What is its IoU with the object?
# How much too large may it be at the threshold 0.5?
#
# <details><summary>Answer</summary>
#
# The object lies inside, so $\mathrm{IoU} = 1/(1 + q)^2$; for 0.5, $q = \sqrt2 - 1 = 0.414$.
#
# ```python
# for q in (0.1, 0.3, np.sqrt(2) - 1):
#     half = 0.5 * (1 + q)
#     value = box_iou(np.array([[-0.5, -0.5, 0.5, 0.5]]), np.array([[-half, -half, half, half]]))[0, 0]
#     assert np.isclose(value, 1 / (1 + q) ** 2)
# assert np.isclose(value, 0.5)
# ```
#
# </details>
#
# **2.** A detector gives a second box to each object, with a score below all others. What does this do to AP? And if
# each second box has the same score as the first?
#
# <details><summary>Answer</summary>
#
# False positives after the last true one change neither the recall nor any precision before: AP stays the same, by
# (9). With the same scores they stand between the right ones and cost precision.
#
# ```python
# right = np.ones(10, bool)
# late = precision_recall(np.append(right, ~right), np.linspace(1, 0, 20), 10)
# assert average_precision(late.precision, late.recall) == 1
# mixed = precision_recall(np.tile([True, False], 10), np.linspace(1, 0, 20), 10)
# value = average_precision(mixed.precision, mixed.recall, interpolation="area")
# assert np.isclose(value, np.mean([n / (2 * n - 1) for n in range(1, 11)])) and value < 0.64
# ```
#
# </details>
#
# **3.** What AP does a detector reach that gives its scores at random, if a share $q$ of its boxes is right and all
# objects are found? Guess with (9), then simulate.
#
# <details><summary>Answer</summary>
#
# At every moment the share of right ones is about $q$, so each object is found at a precision of about $q$: AP is near
# $q$.
#
# ```python
# rng, values = np.random.default_rng(0), []
# for _ in range(50):
#     c = rng.permutation(np.repeat([True, False], [300, 700]))
#     shuffled = precision_recall(c, np.linspace(1, 0, 1000), 300)
#     values.append(average_precision(shuffled.precision, shuffled.recall, interpolation="area"))
# assert abs(np.mean(values) - 0.3) < 0.01
# ```
#
# </details>
#
# **4.** $d = 1 - \mathrm{IoU}$ is called the Jaccard distance. Is it one, that is, does $d(a, c) \le d(a, b) + d(b, c)$
# hold? And is $1 - \mathrm{GIoU}$?
#
# <details><summary>Answer</summary>
#
# For $1 - \mathrm{IoU}$ it holds for all sets (Kosub 2019 gives a short proof). The random boxes below never violate
# either inequality by more than rounding.
#
# ```python
# rng = np.random.default_rng(1)
# low = rng.uniform(0, 10, (60, 2))
# boxes = np.concatenate([low, low + rng.uniform(0.5, 8, (60, 2))], axis=1)
# for measure in (box_iou, generalized_box_iou):
#     d = 1 - measure(boxes, boxes)
#     assert (d[:, None, :] <= d[:, :, None] + d[None, :, :] + 1e-12).all()
# ```
#
# </details>
