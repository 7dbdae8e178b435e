# %% [markdown]
# # 41 Boosting, rectangle features and the face detector
#
# **After this lesson you can** find the best decision stump in one pass, derive AdaBoost from the exponential loss and
# bound its training error, sum any rectangle with four look-ups, train a cascade that rejects most windows with three
# features, and clean up its answers with non-maximum suppression. About two minutes on two cores.

# %% [markdown]
# ## Goal and sources
#
# A 160 by 120 picture has thousands of windows in which a face could sit, and almost none of them holds one. The
# detector of Viola and Jones looked at all of them in real time in 2001. It needs three ideas, boosting, integral images
# and a cascade, and each of them is a few lines.
#
# * Y. Freund, R. Schapire, *A decision-theoretic generalization of on-line learning and an application to boosting*,
#   Journal of Computer and System Sciences 55, 1997.
# * J. Friedman, T. Hastie, R. Tibshirani, *Additive logistic regression*, Annals of Statistics 28, 2000: the loss.
# * F. Crow, *Summed-area tables for texture mapping*, SIGGRAPH 1984.
# * P. Viola, M. Jones, *Rapid object detection using a boosted cascade of simple features*, CVPR 2001; *Robust real-time
#   face detection*, IJCV 57, 2004.
# * A. Rosenfeld, M. Thurston, *Edge and curve detection for visual scene analysis*, 1971: non-maximum suppression.
#
# In the library: `minicv/ensembles/stump.py`, `adaboost.py`, `minicv/kernels/integral.py`,
# `minicv/detection/viola_jones/`, `minicv/geometry/suppress.py`.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

from minicv.data import FacePatches, FaceScenes, moons, spam8
from minicv.detection.viola_jones import (
    KINDS,
    ViolaJones,
    all_features,
    count_features,
    expected_features,
    feature_taps,
    feature_values,
    overall_rates,
    sample_features,
    train_cascade,
)
from minicv.detection.viola_jones.training import Booster
from minicv.ensembles import AdaBoostClassifier, best_stump, exponential_bound
from minicv.errors import ArgError, BoxError, ShapeError
from minicv.experiments import asked_preset
from minicv.experiments.ch4.boosting import adaboost, decision_stump
from minicv.experiments.ch4.suppression import suppression
from minicv.experiments.ch4.viola_jones import attentional_cascade, haar_features, integral, viola_jones
from minicv.geometry import box_iou, nms
from minicv.kernels.integral import integral_image, rectangle_sums
from minicv.plot import boosting_player, nms_player, windows_player

# %% [markdown]
# ## Derive
#
# ### The weakest useful classifier
#
# A **decision stump** looks at one feature $x_f$ and compares it with one threshold:
#
# $$h(x) = s \;\text{ if }\; x_f > t \;\text{ else }\; -s, \qquad s \in \{-1, +1\}. \tag{1}$$
#
# Samples have labels $y_n = \pm 1$ and weights $w_n \ge 0$. With $s = +1$ the stump is wrong on positives at or below $t$
# and on negatives above it. Let $W_-$ be the weight of all negatives; each sample that $t$ passes adds its weight if it
# is positive and takes it back if it is negative:
#
# $$e_{+}(t) = W_- + \sum_{x_{n,f} \le t} w_n y_n, \qquad e_{-}(t) = \textstyle\sum_n w_n - e_{+}(t). \tag{2}$$
#
# One running sum over the sorted feature gives the error of *every* threshold and both signs. Sorting depends on no
# weight and is done once.

# %%
rng = np.random.default_rng(0)
x, y, w = rng.integers(0, 8, 30) / 2, rng.choice([-1, 1], 30), rng.random(30)
order = np.argsort(x, kind="stable")
running = w[y < 0].sum() + np.cumsum((w * y)[order])                         # (2) after each sample
for t in np.unique(x):
    slow = w[np.where(x > t, 1, -1) != y].sum()
    last = np.flatnonzero(x[order] == t)[-1]                                 # equal values pass together
    assert np.isclose(running[last], slow)
    assert np.isclose(w.sum() - slow, w[np.where(x > t, -1, 1) != y].sum())
least = min(min(running[np.flatnonzero(x[order] == t)[-1]], w.sum() - running[np.flatnonzero(x[order] == t)[-1]])
            for t in np.unique(x))
assert np.isclose(best_stump(x[:, None], y, w).error * w.sum(), least)

# %% [markdown]
# ### Boosting
#
# Let weak learners $h_j(x) \in \{-1, +1\}$ vote, $F(x) = \sum_j \alpha_j h_j(x)$, and decide by the sign. A vote in the
# right direction has $yF > 0$. The number of errors is a step function, hard to minimize; the **exponential loss** lies
# above it and is smooth:
#
# $$\big[\,y F(x) \le 0\,\big] \;\le\; e^{-y F(x)/2}. \tag{3}$$
#
# Build $F$ one learner at a time. With $w_n \propto e^{-y_n F(x_n)/2}$, scaled to sum to 1, adding $\alpha h$ multiplies
# the mean loss by
#
# $$\sum_n w_n e^{-y_n \alpha h(x_n)/2} = (1 - \varepsilon)\, e^{-\alpha/2} + \varepsilon\, e^{\alpha/2}, \qquad
#   \varepsilon = \sum_{h(x_n) \ne y_n} w_n. \tag{4}$$
#
# The best $h$ is the one with the smallest weighted error. Setting the derivative with respect to $\alpha$ to zero,
#
# $$\alpha = \ln \beta, \qquad \beta = \frac{1 - \varepsilon}{\varepsilon}, \tag{5}$$
#
# and the loss falls by the factor $2\sqrt{\varepsilon (1 - \varepsilon)}$. By (3) the training error obeys, after $J$
# rounds,
#
# $$\text{error} \;\le\; \prod_{j=1}^{J} 2\sqrt{\varepsilon_j (1 - \varepsilon_j)}
#   \;\le\; \exp\Big(-2 \sum_j \big(\tfrac12 - \varepsilon_j\big)^2\Big). \tag{6}$$
#
# Learners that are only *a little* better than guessing drive it to zero. The new weights are those of (4): errors times
# $e^{\alpha/2}$, the rest times $e^{-\alpha/2}$. A common factor does not matter, so
#
# $$w_n \leftarrow w_n \beta \;\text{ where } h \text{ is wrong}, \quad \text{then divide by the sum.} \tag{7}$$
#
# The errors now weigh $\varepsilon\beta = 1 - \varepsilon$ against $1 - \varepsilon$: **for the learner that was just
# added the new weights are a coin toss.** The next one has to find something else.
#
# > **Where notes and mathematics differ (E4.4).** A weak learner's error is not "slightly higher" but slightly *lower*
# > than that of guessing. With $\varepsilon > \frac12$, $\beta < 1$ and its vote would count against itself.
#
# > **Where notes and papers differ (E4.5).** Ties: $F = 0$ is decided by $>$ in one place and $\ge$ in another. The
# > library gives a tie to the positive class. The paper on faces writes $h \in \{0, 1\}$, compares with half of
# > the sum of the votes, and shrinks the weights of what is *right* by $\varepsilon/(1 - \varepsilon)$. After
# > normalization it is the same algorithm.


# %%
def boost(x, y, rounds, form):
    """AdaBoost in two ways of writing; returns a function whose sign is the decision."""
    w, learners = np.full(len(y), 1 / len(y)), []
    for _ in range(rounds):
        f, t, s, eps = best_stump(x, y, w)
        h = np.where(x[:, f] > t, s, -s)
        beta = (1 - eps) / eps
        w = w * np.where(h != y, beta, 1) if form == "errors up" else w * np.where(h == y, 1 / beta, 1)    # (7)
        w = w / w.sum()
        assert np.isclose(w[h != y].sum(), 0.5)                              # a coin toss
        learners.append((f, t, s, math.log(beta)))
    if form == "errors up":
        return lambda x: sum(a * np.where(x[:, f] > t, s, -s) for f, t, s, a in learners)
    return lambda x: sum(a * (np.where(x[:, f] > t, s, -s) > 0) - a / 2 for f, t, s, a in learners)


x, y = moons(150, noise=0.2, rng=0)
ours, papers = (boost(x, 2 * y - 1, 12, form) for form in ("errors up", "hits down"))
model = AdaBoostClassifier(12).fit(x, y)
assert np.allclose(ours(x), 2 * papers(x)) and np.allclose(ours(x), model.decision_function(x))       # E4.5
loss = np.mean(np.exp(-(2 * y - 1) * ours(x) / 2))
bound = exponential_bound(model.estimator_errors_)[-1]
assert np.isclose(loss, bound) and np.mean(model.predict(x) != y) <= bound                            # (6)
assert bound <= np.exp(-2 * np.sum((0.5 - model.estimator_errors_) ** 2))
alphas, eps = np.linspace(0.01, 5, 5000), 0.2
factor = (1 - eps) * np.exp(-alphas / 2) + eps * np.exp(alphas / 2)
assert np.isclose(alphas[factor.argmin()], np.log(4), atol=1e-3)                                       # (5)
assert np.isclose(factor.min(), 2 * np.sqrt(0.2 * 0.8), atol=1e-6)
assert (model.estimator_errors_ < 0.5).all() and (model.betas_ > 1).all()                              # E4.4

# %% [markdown]
# ### The sum of a rectangle
#
# The **integral image** holds the sum of everything above and to the left. With a row and a column of zeros in front no
# rectangle is a special case:
#
# $$S_{i,j} = \sum_{i' < i,\; j' < j} I_{i',j'}, \qquad
#   S_{i+1,j+1} = I_{i,j} + S_{i,j+1} + S_{i+1,j} - S_{i,j}. \tag{8}$$
#
# The sum over the box $(x_1, y_1, x_2, y_2)$ is what lies before its lower right corner, without what lies above and what
# lies to the left; what lies above *and* left was taken away twice and comes back:
#
# $$\sum_{\text{box}} I = S_{y_2,x_2} - S_{y_1,x_2} - S_{y_2,x_1} + S_{y_1,x_1}. \tag{9}$$
#
# Four look-ups for 4 pixels as well as for 4 million. A second table of the *squares* gives the variance of every
# window, $\sigma^2 = \overline{I^2} - \overline{I}^2$.

# %%
image = rng.integers(0, 256, (40, 60))
S = np.zeros((41, 61), np.int64)
for i in range(40):
    for j in range(60):
        S[i + 1, j + 1] = image[i, j] + S[i, j + 1] + S[i + 1, j] - S[i, j]                     # (8)
assert np.array_equal(S, integral_image(image))
for _ in range(100):
    (x1, x2), (y1, y2) = np.sort(rng.integers(0, 61, 2)), np.sort(rng.integers(0, 41, 2))
    four = S[y2, x2] - S[y1, x2] - S[y2, x1] + S[y1, x1]                                        # (9)
    assert four == image[y1:y2, x1:x2].sum() == rectangle_sums(S, np.array([x1, y1, x2, y2]))
patch, squares = image[5:29, 7:31], integral_image(image, squared=True)
window = np.array([7, 5, 31, 29])
mean, square = rectangle_sums(S, window) / 576, rectangle_sums(squares, window) / 576
assert np.isclose(square - mean**2, patch.var())

# %% [markdown]
# ### Rectangle features
#
# A Haar-like feature is the light part minus the dark part of a small grid of equal cells. A grid of $R$ by $C$ cells of
# $w$ by $h$ pixels fits into a window of $S$ pixels at $(S - Cw + 1)(S - Rh + 1)$ places, so there are
#
# $$n_{R,C}(S) = \sum_{w \ge 1,\; Cw \le S} (S - C w + 1) \sum_{h \ge 1,\; Rh \le S} (S - R h + 1) \tag{10}$$
#
# of a kind. For $S = 24$ the two-cell kinds have $144 \cdot 300 = 43\,200$ each, the three-cell kinds $92 \cdot 300 =
# 27\,600$, the checker $144^2 = 20\,736$: together 162 336, far more than the window has pixels. Each value is divided by
# the standard deviation of its window.
#
# *Features in constant time*: whatever its size, a feature is a fixed linear form in 6, 8 or 9 entries of $S$.

# %%
def places(cells, S=24):
    """Offsets times sizes of `cells` cells along one side."""
    return sum(S - cells * size + 1 for size in range(1, S // cells + 1))


assert [places(k) for k in (1, 2, 3)] == [300, 144, 92]
assert count_features() == [places(kind.shape[0]) * places(kind.shape[1]) for kind in KINDS]           # (10)
assert sum(count_features()) == len(all_features()) == 162_336
for kind, look_ups in zip(range(5), (6, 6, 8, 8, 9)):
    small, large = np.array([[kind, 0, 0, 1, 1]]), np.array([[kind, 0, 0, 8, 8]])
    used = [np.count_nonzero(feature_taps(f)[1]) for f in (small, large)]
    assert used[0] == used[1] <= look_ups                                    # 3 pixels or 192: the same work
some, faces = sample_features(300, rng=0), FacePatches(20, faces=1.0, seed=3).arrays()["image"][:, 0]
bright = feature_values(some, 0.5 * faces.astype(float) + 0.3)
assert np.allclose(feature_values(some, faces.astype(float)), bright, atol=1e-5)        # blind to light and contrast

# %% [markdown]
# ### The cascade
#
# A boosted classifier of a thousand features on every window would be slow, and unnecessary: nearly all windows are
# easily seen to be empty. Arrange small classifiers in a row; a window that one of them rejects is gone, and only what
# all accept is a face. If stage $i$ passes a share $d_i$ of the faces and $f_i$ of the other windows that reach it,
#
# $$D = \prod_i d_i, \qquad F = \prod_i f_i. \tag{11}$$
#
# A modest $f_i = 0.3$ is enough, but $d_i$ must be close to 1, so after training the threshold of the stage is *lowered*
# until the faces pass. With $n_i$ features in stage $i$, a window without a face costs on average
#
# $$n_1 + n_2 f_1 + n_3 f_1 f_2 + \dots \tag{12}$$
#
# features. And every stage trains on what the stages before it wrongly accept: it sees harder and harder negatives.
#
# > **Where notes and papers differ (E4.6).** Equal weights $1/N$ would let the majority of negatives decide. Each *class*
# > starts with half of the weight, $1/(2m)$ and $1/(2l)$; windows are divided by their standard deviation; and the
# > threshold of each stage is lowered on faces kept aside.

# %%
values = rng.standard_normal((5, 40)).astype(np.float32)
weight = Booster(values, np.repeat([1, -1], [10, 30])).weight
assert np.allclose(weight[:10], 1 / (2 * 10)) and np.allclose(weight[10:], 1 / (2 * 30))               # E4.6
sizes, f = [2, 10, 25], [0.5, 0.3, 0.3]
assert expected_features(sizes, f) == 2 + 10 * 0.5 + 25 * 0.5 * 0.3                                     # (12)

# %% [markdown]
# ### Non-maximum suppression
#
# A face is found in many windows that are shifted a little. Keep the best of each heap:
#
# 1. take the box with the highest score among those that are left, and **move it to the output**;
# 2. delete all boxes *of its class* whose IoU with it is above a threshold;
# 3. repeat until none is left.
#
# > **Where notes and code differ (E4.7).** Without "move to the output" the best box would stay the best for ever, and
# > suppress itself. Boxes of different classes never suppress each other. The face detector of 2001 does not suppress but
# > *averages* the windows of a heap.


# %%
def nms_by_hand(boxes, scores, threshold, labels):
    left, kept = sorted(range(len(boxes)), key=lambda i: -scores[i]), []
    overlaps = box_iou(boxes, boxes)
    while left:
        best = left.pop(0)                                                   # moved to the output
        kept.append(best)
        left = [i for i in left if labels[i] != labels[best] or overlaps[best, i] <= threshold]
    return kept


for _ in range(50):
    low = rng.uniform(0, 60, (40, 2))
    boxes, labels = np.concatenate([low, low + rng.uniform(5, 30, (40, 2))], axis=1), rng.integers(0, 3, 40)
    scores = rng.random(40)
    kept = nms(boxes, scores, 0.3, labels)
    assert kept.tolist() == nms_by_hand(boxes, scores, 0.3, labels)
    assert len(nms(boxes[kept], scores[kept], 0.3, labels[kept])) == len(kept)          # a second pass changes nothing

# %% [markdown]
# ## Check by hand
#
# ### Eight mails
#
# Spam or not, from the number of links $x_1$ and of capitalized words $x_2$. Round 1: "$x_1 > 3$" makes two errors of
# weight 1/8 each, $\varepsilon = 1/4$, $\beta = 3$ (so does "$x_1 > 10$"; the lower threshold wins). The two errors are
# multiplied by 3 and everything is divided by $12/8$: they now have 1/4 each, the others 1/12. Round 2: "$x_1 > 10$" is wrong
# on two mails of 1/12, $\varepsilon = 1/6$, $\beta = 5$. Round 3: "$x_2 > 20$", $\varepsilon = 1/4$ again. Votes
# $\ln 3, \ln 5, \ln 3$.

# %%
x, y = spam8()
model = AdaBoostClassifier(3).fit(x, y)
rules = [f"x{e.feature_ + 1} > {e.threshold_:g}" for e in model.estimators_]
assert rules == ["x1 > 3", "x1 > 10", "x2 > 20"]
assert np.allclose(model.estimator_errors_, [1 / 4, 1 / 6, 1 / 4]) and np.allclose(model.betas_, [3, 5, 3])
weights = list(model.staged_weights(x, y))
expected = [[1 / 8] * 8, [1 / 4] * 2 + [1 / 12] * 6, [3 / 20] * 2 + [1 / 4] * 2 + [1 / 20] * 4,
            [3 / 10, 1 / 10, 1 / 6, 1 / 6, 1 / 10, 1 / 10, 1 / 30, 1 / 30]]
assert np.allclose(weights, expected)
votes = model.decision_function(x)
assert np.isclose(votes[0], np.log(3) - np.log(5) + np.log(3)) and np.isclose(votes[0], 0.588, atol=5e-4)
assert np.flatnonzero(model.predict(x) != y).tolist() == [0]                 # one mail stays wrong
assert np.isclose(np.mean(np.exp(-(2 * y - 1) * votes / 2)), 0.5590, atol=5e-5)          # = product of (6)
assert np.isclose(exponential_bound(model.estimator_errors_)[-1], 0.5590, atol=5e-5)

# %% [markdown]
# **Player (boosting).** The area of a mark is its weight. A stump comes in, its errors are crossed out, and then they
# grow. At the end the three vote.

# %%
player = boosting_player(model, x, y, class_names=["ham", "spam"], title="Three rounds of AdaBoost on eight mails",
                         axis_names=("links $x_1$", "capitalized words $x_2$"))
assert player.labels[-1].endswith("7 of 8 are right")
player

# %% [markdown]
# ### An integral image and ten stages
#
# The table of $(1, 2, 3; 4, 5, 6; 7, 8, 9)$ is $(1, 3, 6; 5, 12, 21; 12, 27, 45)$, and its lower right 2 by 2 block sums
# to $45 - 6 - 12 + 1 = 28$. Ten stages with $d = 0.99$ and $f = 0.3$ keep $0.99^{10} = 90.4\,\%$ of the faces and
# $0.3^{10} = 5.9 \cdot 10^{-6}$ of the rest.

# %%
table = integral_image(np.arange(1, 10).reshape(3, 3))
assert table[1:, 1:].tolist() == [[1, 3, 6], [5, 12, 21], [12, 27, 45]]
assert rectangle_sums(table, np.array([1, 1, 3, 3])) == 45 - 6 - 12 + 1 == 28
D, F = overall_rates([0.99] * 10, [0.3] * 10)
assert np.isclose(D, 0.904, atol=5e-4) and np.isclose(F, 5.9e-6, rtol=2e-3)

# %% [markdown]
# ### Three boxes
#
# (0, 0, 10, 10) with 0.9, (1, 1, 11, 11) with 0.8, (20, 20, 30, 30) with 0.7: the first two have the IoU
# $81/119 = 0.681$, so at the threshold 0.5 boxes 1 and 3 stay. Below, the same for three objects with several boxes
# each.
#
# **Player (suppression).** Thick green boxes are in the output, dashed orange ones are deleted in this step.

# %%
three = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
assert np.isclose(box_iou(three, three)[0, 1], 81 / 119)
assert nms(three, np.array([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]

rng = np.random.default_rng(4)
objects = np.array([[8.0, 10, 38, 50], [52, 6, 84, 36], [50, 44, 88, 68]])
boxes = np.repeat(objects, 5, axis=0) + 2.2 * rng.standard_normal((15, 4))
scores = rng.uniform(0.5, 0.99, 15)
player = nms_player(boxes, scores, 0.5)
kept = [int(label.split()[1]) for label in player.labels[1:]]
assert kept == nms(boxes, scores, 0.5).tolist() and len(kept) == 3
player

# %% [markdown]
# ## Use the library
#
# Train a small cascade: faces, faces kept aside, scenes from which it takes its own negatives, and a pool of features to
# choose from.

# %%
count, pool = {"smoke": (150, 300)}.get(asked_preset(), (700, 2500))


def portraits(n, seed):
    """Faces (n, 24, 24), not placed exactly."""
    return FacePatches(n, faces=1.0, nuisance=1.4, seed=seed).arrays()["image"][:, 0]


train, held = portraits(count, 1), portraits(count, 2)
views = FaceScenes(count // 10, seed=3)
cascade, stages = train_cascade(train, held, [views[i] for i in range(len(views))], pool=sample_features(pool, rng=4),
                                stages=4, d_min=0.985, f_max=0.25, budget=(3, 8, 16, 32), negatives=count, rng=5)
print("stage  features  faces passed  others passed  bias")
for s, stage in enumerate(stages, 1):
    print(f"{s:5d}{stage.features:10d}{stage.detection:14.3f}{stage.false_positive:15.3f}{stage.bias:7.2f}")
assert (cascade.bias <= 0).all()                                             # lowered, never raised (E4.6)
assert all(stage.detection >= 0.985 for stage in stages)
for attempt in (
        lambda: ViolaJones(cascade, factor=1.0),
        lambda: ViolaJones(cascade, min_side=20),
        lambda: feature_values(sample_features(5, rng=0), np.zeros((1, 20, 20))),
        lambda: rectangle_sums(table, np.array([[0, 0, 4, 4]])),
        lambda: nms(three, np.array([0.9, 0.8]))):
    try:
        attempt()
    except (ArgError, BoxError, ShapeError) as error:
        print(error)
    else:
        raise AssertionError("accepted")

# %% [markdown]
# **Player (the cascade).** Which windows of one scene are left after each stage (at most 60 are drawn), and the groups
# that they form.

# %%
view = FaceScenes(8, seed=11, faces=(2, 3), side=(26, 50), noise=0.0)[2]
detector = ViolaJones(cascade)
scan = detector.scan(view["image"][0].astype(np.float64))
funnel = scan.funnel()
found = detector.predict(view["image"][None])[0]
assert funnel == sorted(funnel, reverse=True) and funnel[0] == len(scan.boxes)
assert asked_preset() == "smoke" or funnel[1] < 0.6 * funnel[0]              # most windows go at once
windows_player(view["image"], scan.boxes, scan.passed, found=found.boxes)

# %% [markdown]
# ## Experiment
#
# ### Stumps
#
# **Figure (all stumps on the mails).** The error of every threshold of both features: (2) as a picture. The search is
# compared with trying everything on random sets full of ties.

# %%
report = decision_stump(asked_preset()).check()
every, _ = report.figures.values()
every().set_dpi(68)
plt.show()
assert report.metrics["differ_from_brute_force"] == 0

# %% [markdown]
# ### AdaBoost
#
# **Figures (weights before each round; the vote).** The three panels of the worked example, and what comes of it.

# %%
report = adaboost(asked_preset()).check()
rounds, vote, regions, errors, _ = report.figures.values()
rounds().set_dpi(68)
plt.show()
vote().set_dpi(68)
plt.show()
assert report.metrics["mails_right"] == 7 and report.metrics["forms_that_agree"] == 3

# %% [markdown]
# **Figures (two moons).** A single stump is right on about 82 %. Two hundred of them draw a curved border out of
# horizontal and vertical lines. The training error stays below the bound (6), and the error on held-out points has long
# stopped falling.

# %%
regions().set_dpi(50)
plt.show()
errors().set_dpi(68)
plt.show()
print(f"one stump {report.metrics['one_stump']:.3f}, all {report.metrics['moons_accuracy']:.3f}")
assert report.metrics["rounds_above_bound"] == 0 and report.metrics["last_error_from_half"] < 1e-9

# %% [markdown]
# ### Integral images
#
# **Figure 4.4 (a table) and figure 4.5 (a rectangle from its corners).** The same experiment fills a picture of four
# million bright pixels and shows why the table must not be float32: sums beyond $2^{24}$ are rounded, and the difference
# of four large numbers keeps all of the error.

# %%
report = integral(asked_preset()).check()
for draw in report.figures.values():
    draw().set_dpi(68)
    plt.show()
print(f"a block of 256 white pixels in float32: off by {report.metrics['float32_error']:.0f} of {255 * 256}")
assert report.metrics["rectangles_wrong"] == report.metrics["squares_wrong"] == 0

# %% [markdown]
# ### Features on a face
#
# **Figure 4.3 (features on a patch).** *AdaBoost selects features.* Out of thousands, the first ones it takes lie
# on the eyes, the hair line, the nose and the mouth. The very first says that the eyes are darker than the forehead.

# %%
report = haar_features(asked_preset()).check()
first, kinds = report.figures.values()
kinds().set_dpi(68)
plt.show()
first().set_dpi(68)
plt.show()
print(f"the first feature alone is wrong on {report.metrics['first_feature_error']:.1%}")
assert report.metrics["features"] == 162_336 and report.metrics["flat_window"] < 1e-6

# %% [markdown]
# ### The cascade
#
# **Figure (the funnel).** *The cascade is fast because it stops early.* The cascade has some fifty features, but a window
# without a face costs about seven. The prediction (12) from the rates of the stages is close.

# %%
report = attentional_cascade(asked_preset()).check()
funnel_figure, products, _ = report.figures.values()
funnel_figure().set_dpi(68)
plt.show()
products().set_dpi(68)
plt.show()
m = report.metrics
print(f"{m['features']:.0f} features; a window without a face takes {m['features_per_window']:.1f}, "
      f"predicted {m['features_per_window_predicted']:.1f}")
print(f"faces found {m['detection_rate']:.1%}, windows wrongly accepted {m['false_positives_per_window']:.1e}")
assert m["features_per_window"] < m["features"]

# %% [markdown]
# ### The detector
#
# **Figures (faces found; accepted windows and their groups).** Trained on drawn faces, it finds drawn faces. In the last
# picture it meets a photograph for the first time: it finds the face, and wrong ones around it.


# %%
def show_small(draw, dpi, levels=4):
    """Show a figure whose pictures have few levels, so that the page stays small."""
    figure = draw()
    figure.set_dpi(dpi)
    for ax in figure.axes:
        for picture in ax.images:
            picture.set_data(np.round(levels * picture.get_array()) / levels)
    plt.show()


report = viola_jones(asked_preset()).check()
found_faces, _, photograph, accepted = report.figures.values()
show_small(found_faces, 52)
show_small(accepted, 50)
show_small(photograph, 56)
print(f"AP50 on drawn scenes {report.metrics['ap50']:.3f}; photograph: best IoU {report.metrics['portrait_best_iou']:.2f}")
assert asked_preset() == "smoke" or report.metrics["ap50"] >= 0.85

# %% [markdown]
# ### What suppression loses
#
# **Figure (before and after).** *Suppression merges close objects.* Two objects that overlap more than the
# threshold become one, and no threshold is right for both: a low one loses objects in a crowd, a high one leaves
# duplicates (of the fifteen boxes above, 0.9 keeps nearly all).

# %%
report = suppression(asked_preset()).check()
(before_and_after,) = report.figures.values()
show_small(before_and_after, 60)
(rows,) = report.tables.values()
print("threshold   lost, apart   lost, in crowds")
for row in rows:
    print(f"{row['threshold']:9.1f}{row['lost apart']:14.1%}{row['lost in crowds']:18.1%}")
assert report.metrics["crowd_kept"] == 1 and report.metrics["crowd_kept_softly"] == 2
assert len(nms(boxes, scores, 0.9)) > 10                                     # three objects

# %% [markdown]
# ## Exercises
#
# **1.** Every weak learner has the error 0.3. After how many rounds does (6) guarantee that none of 1000 training samples
# is wrong?
#
# <details><summary>Answer</summary>
#
# The error is a multiple of 1/1000, so it is 0 once the bound is below 1/1000: $0.9165^J < 10^{-3}$, 80 rounds.
#
# ```python
# J = math.ceil(math.log(1e-3) / math.log(2 * math.sqrt(0.3 * 0.7)))
# assert J == 80 and exponential_bound([0.3] * J)[-1] < 1e-3 < exponential_bound([0.3] * (J - 1))[-1]
# ```
#
# </details>
#
# **2.** What would happen to a learner with $\varepsilon > \frac12$ in (5)? Why can the best stump never have one?
#
# <details><summary>Answer</summary>
#
# $\ln\beta$ is negative: the vote is turned round, which is the same as the negated learner with error $1 - \varepsilon$ and
# the vote $\ln\frac{\varepsilon}{1 - \varepsilon}$. A stump may choose its sign, and one of two signs is wrong on at most
# half of the weight.
#
# ```python
# rng = np.random.default_rng(2)
# for _ in range(100):
#     N = rng.integers(2, 20)
#     stump = best_stump(rng.standard_normal((N, 3)), rng.choice([-1, 1], N), rng.random(N))
#     assert stump.error <= 0.5
# ```
#
# </details>
#
# **3.** A cascade of ten stages shall find 90 % of the faces and accept $10^{-6}$ of the other windows. Which $d$ and $f$
# does each stage need? If each has 20 features, how many does an empty window cost?
#
# <details><summary>Answer</summary>
#
# $d = 0.9^{1/10} = 0.9895$ and $f = 10^{-0.6} = 0.251$. The geometric series of (12) gives $20\,(1 - f^{10})/(1 - f) = 26.7$,
# little more than the first stage alone.
#
# ```python
# d, f = 0.9 ** 0.1, 10 ** -0.6
# D, F = overall_rates([d] * 10, [f] * 10)
# assert np.isclose(D, 0.9) and np.isclose(F, 1e-6)
# cost = expected_features([20] * 10, [f] * 10)
# assert np.isclose(cost, 20 * (1 - f ** 10) / (1 - f)) and np.isclose(cost, 26.7, atol=0.05)
# ```
#
# </details>
#
# **4.** How many features of each kind has a window of 20 by 20 pixels?
#
# <details><summary>Answer</summary>
#
# $\sum (21 - w) = 210$, $\sum (21 - 2w) = 100$ and $\sum (21 - 3w) = 63$, so 21 000, 21 000, 13 230, 13 230 and 10 000.
#
# ```python
# assert [places(k, 20) for k in (1, 2, 3)] == [210, 100, 63]
# assert count_features(20) == [21_000, 21_000, 13_230, 13_230, 10_000]
# ```
#
# </details>
#
# **5.** Two objects in a crowd have boxes with IoU 2/3. Show that suppression at 0.5 loses one, and that soft
# suppression, which lowers scores instead of deleting, keeps both.
#
# <details><summary>Answer</summary>
#
# ```python
# from minicv.geometry import soft_nms
#
# crowd = np.array([[0, 0, 10, 20], [2, 0, 12, 20]])
# assert np.isclose(box_iou(crowd, crowd)[0, 1], 2 / 3)
# assert nms(crowd, np.array([0.9, 0.8]), 0.5).tolist() == [0]
# keep, lowered = soft_nms(crowd, np.array([0.9, 0.8]))
# assert keep.tolist() == [0, 1] and np.allclose(lowered, [0.9, 0.8 * (1 - 2 / 3)])
# ```
#
# </details>
