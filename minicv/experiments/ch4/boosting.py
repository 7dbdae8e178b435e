"""Section 4.2: decision stumps and AdaBoost, on eight mails and on two moons."""

import itertools

import numpy as np

from ...data.synthetic import moons, spam8
from ...ensembles import (
    AdaBoostClassifier,
    DecisionTreeClassifier,
    best_stump,
    exponential_bound,
    search_stumps,
    sort_features,
)
from ...plot import boosting_player, plot_curves, plot_regions, plot_stump, plot_weights
from .. import Report, Target, experiment
from ..parts import exact, panels
from ._errata import departures

NOTEBOOK = "notebooks/41_viola_jones.py"
MAILS = {"class_names": ["ham", "spam"]}
MAIL_LIMITS = {"xlim": (-2, 21), "ylim": (17, 40.5)}
LIMITS = (-1.7, 2.7), (-1.2, 1.7)


@experiment(
    "decision-stump", title="Decision stump", chapter="4.2", notebook=NOTEBOOK, module="minicv/ensembles/stump.py",
    paper="Ai & Langley 1992, Induction of One-Level Decision Trees; Viola & Jones 2001",
    equations="h(x) = s if x_f > t else -s; error(s = +1) = W_neg + sum of w y over x_f <= t",
    shows="Features are sorted once; one pass then finds the best threshold for any weights, as good as trying all.",
    targets=exact({"differ_from_brute_force": 0, "rounds_on_one_order": 20, "copies_equal_weights": 1,
                   "mails_error": 0.25, "mails_threshold": 3}))
def decision_stump(preset, rng, out, progress):
    sets = {"smoke": 10, "fast": 200, "full": 200}[preset]
    right = [compare_stumps(*random_set(rng)) for _ in progress(range(sets), desc="random sets")]
    x, y = spam8()
    mails = best_stump(x, 2 * y - 1)
    points, labels = moons(200, noise=0.2, rng=rng)
    signs, order = 2 * labels - 1, sort_features(points)
    reused = [reuse(points, signs, order, rng.random(200)) for _ in range(20)]
    weight = rng.integers(1, 4, 200)
    copies = np.repeat(np.arange(200), weight)
    copied, weighted = best_stump(points[copies], signs[copies]), best_stump(points, signs, weight)
    metrics = {"random_sets": sets, "differ_from_brute_force": sets - sum(right), "rounds_on_one_order": sum(reused),
               "copies_equal_weights": copied[:3] == weighted[:3], "mails_error": mails.error,
               "mails_threshold": mails.threshold, "moons_accuracy": 1 - best_stump(points, signs).error}
    return Report(metrics, {
        "The error of every stump on the mails; the first of the lowest ones wins": lambda: _errors(x, 2 * y - 1),
        "The best stump on two moons": lambda: _one_stump(points, labels)})


def random_set(rng):
    """A small set full of ties: features (N, d), labels -1 and +1, integer weights of which one is positive."""
    N, d = rng.integers(1, 13), rng.integers(1, 6)
    weight = rng.integers(0, 5, N)
    weight[0] += 1
    return rng.integers(0, rng.integers(2, 8), (N, d)) / 4, rng.choice([-1, 1], N), weight


def compare_stumps(x, y, weight):
    """Whether `best_stump` finds the first of the best stumps in the order feature, threshold, polarity + before -."""
    def error(stump):
        f, t, s = stump
        return int(weight[np.where(x[:, f] > t, s, -s) != y].sum())

    all_stumps = [(f, t, s) for f in range(x.shape[1]) for t in np.unique(x[:, f]) for s in (1, -1)]
    best = min(all_stumps, key=error)                                 # the first one among equals
    found = best_stump(x, y, weight)
    return found[:3] == best and abs(found.error * weight.sum() - error(best)) < 1e-9


def reuse(x, y, order, weight):
    """Whether an order that was made before gives what sorting again gives."""
    found, fresh = search_stumps(order, y, weight), best_stump(x, y, weight)
    return (found.feature, x[found.sample, found.feature], found.polarity) == fresh[:3]


def _errors(x, y):
    figure, axes = panels(2, (4.6, 3.6), sharey=True)
    for f, ax in enumerate(axes):
        t = np.unique(x[:, f])
        right = [np.mean((x[:, f] > v) == (y > 0)) for v in t]
        ax.step([*t, t[-1] + 2], 1 - np.array([*right, right[-1]]), where="post", label="polarity +")
        ax.step([*t, t[-1] + 2], [*right, right[-1]], where="post", linestyle="--", label="polarity -")
        ax.set(xlabel=f"threshold on $x_{f + 1}$", ylim=(0, 1))
    axes[0].set_ylabel("error")
    best = best_stump(x, y)
    axes[best.feature].plot(best.threshold, best.error, "o", color="black", label="best")
    axes[0].legend()
    return figure


def _one_stump(points, labels):
    stump = best_stump(points, 2 * labels - 1)
    side = (points[:, stump.feature] > stump.threshold) == (stump.polarity > 0)
    figure, (ax,) = panels(1, (5.2, 4.0))
    ax.set(xlim=LIMITS[0], ylim=LIMITS[1], xlabel="$x_1$", ylabel="$x_2$", title=f"error {stump.error:.3f}")
    plot_weights(points, labels, wrong=side != labels, area=30, ax=ax)
    plot_stump(*stump[:3], ax=ax)
    ax.legend(loc="upper right")
    return figure


@experiment(
    "adaboost", title="AdaBoost", chapter="4.2", notebook=NOTEBOOK, module="minicv/ensembles/adaboost.py",
    paper="Freund & Schapire 1997, A Decision-Theoretic Generalization of On-Line Learning; Zhu et al. 2009 (SAMME)",
    equations="eps = sum of w over errors; beta = (1 - eps)/eps; w <- w beta at errors; F = sum ln(beta) WL",
    shows="Each stump is trained on what the earlier ones got wrong; the training error stays below a falling bound.",
    departures=departures("E4.4", "E4.5"),
    targets=[*exact({
        "eps_1": (1 / 4, 1e-12), "eps_2": (1 / 6, 1e-12), "eps_3": (1 / 4, 1e-12), "beta_1": (3, 1e-9),
        "beta_2": (5, 1e-9), "beta_3": (3, 1e-9), "weights_differ_from_example": (0, 1e-12), "mails_right": 7,
        "vote_for_wrong_mail": (0.588, 5e-4), "mean_exponential_loss": (0.5590, 5e-5), "rounds_above_bound": 0,
        "last_error_from_half": (0, 1e-9), "forms_that_agree": 3}),
        Target("moons_accuracy", ">=", 0.92)])
def adaboost(preset, rng, out, progress, *, n_estimators=200, noise=0.2):
    rounds, count = {"smoke": (10, 100), "fast": (n_estimators, 1000), "full": (2 * n_estimators, 4000)}[preset]
    mails, metrics = worked_example()
    (x, y), (test, truth) = (moons(count, noise=noise, rng=rng) for _ in range(2))
    model = AdaBoostClassifier(rounds).fit(x, y)
    train, held = (1 - np.array(list(progress(model.staged_score(*d), desc="rounds", total=rounds)))
                   for d in ((x, y), (test, truth)))
    bound, weights = exponential_bound(model.estimator_errors_), list(model.staged_weights(x, y))
    last = [w[e.predict(x) != y].sum() for e, w in zip(model.estimators_, weights[1:])]
    deeper = AdaBoostClassifier(rounds // 4, estimator=DecisionTreeClassifier(max_depth=3)).fit(x, y)
    metrics |= {"rounds_above_bound": np.sum(train > bound + 1e-12),
                "last_error_from_half": np.abs(np.array(last) - 0.5).max(), "forms_that_agree": forms(x, y, 10),
                "moons_accuracy": 1 - held[-1], "moons_training_accuracy": 1 - train[-1], "one_stump": 1 - held[0],
                "trees_of_depth_3": deeper.score(test, truth)}
    return Report(metrics, {
        "Eight mails: before each round, the area of a mark is the weight of its mail": lambda: _mail_rounds(mails),
        "Eight mails: the three stumps vote, and one mail stays wrong": lambda: _mail_vote(mails),
        "Two moons: decision regions after 1, 10 and all rounds": lambda: _regions(model, x, y),
        "Two moons: errors, and the bound that the training error keeps": lambda: plot_curves(
            {"training error": train, "held-out error": held, "bound": bound}, x=np.arange(1, len(bound) + 1),
            xlabel="rounds", ylabel="error").figure,
        "Two moons: what weighs most after the last round lies at the border": lambda: _hard(weights[-1], x, y),
    }, {"the three rounds": [_row(e, *numbers) for e, *numbers in zip(
        mails.estimators_, mails.estimator_errors_, mails.betas_, mails.estimator_weights_)]},
        players={"Eight mails, round by round": lambda: boosting_player(
            mails, *spam8(), class_names=["ham", "spam"],
            axis_names=("links $x_1$", "capitalized words $x_2$"))})


def worked_example():
    """The model of the eight mails and its numbers; the weights of the example by hand."""
    x, y = spam8()
    model = AdaBoostClassifier(3).fit(x, y)
    by_hand = [[1 / 8] * 8, [1 / 4] * 2 + [1 / 12] * 6, [3 / 20] * 2 + [1 / 4] * 2 + [1 / 20] * 4,
               [3 / 10, 1 / 10, 1 / 6, 1 / 6, 1 / 10, 1 / 10, 1 / 30, 1 / 30]]
    F = model.decision_function(x)
    metrics = {f"eps_{j}": e for j, e in enumerate(model.estimator_errors_, 1)}
    metrics |= {f"beta_{j}": b for j, b in enumerate(model.betas_, 1)}
    return model, metrics | {
        "weights_differ_from_example": np.abs(np.array(list(model.staged_weights(x, y))) - by_hand).max(),
        "mails_right": np.sum(model.predict(x) == y), "vote_for_wrong_mail": F[0],
        "mean_exponential_loss": np.mean(np.exp(-(2 * y - 1) * F / 2))}


def forms(x, y, rounds):
    """In how many of three ways to write the algorithm the same classifier results (E4.5).

    Errors times beta; hits times 1 / beta with learners in {0, 1} and half of the votes as threshold; all times
    exp(-y alpha h) with alpha = ln(beta) / 2.
    """
    signs, F = 2 * y - 1, AdaBoostClassifier(rounds).fit(x, y).decision_function(x)
    shrink, smooth = np.ones(len(y)), np.ones(len(y))
    votes, half, total = 0.0, 0.0, 0.0
    for _ in range(rounds):
        h, beta = _best(x, signs, shrink)
        shrink = shrink * np.where(h == signs, 1 / beta, 1)
        votes, total = votes + np.log(beta) * (h > 0), total + np.log(beta)
        h, beta = _best(x, signs, smooth)
        smooth = smooth * np.exp(-signs * np.log(beta) / 2 * h)
        half = half + np.log(beta) / 2 * h
    return 1 + np.allclose(2 * votes - total, F, atol=1e-8) + np.allclose(2 * half, F, atol=1e-8)


def _best(x, signs, weight):
    f, t, s, error = best_stump(x, signs, weight)
    return np.where(x[:, f] > t, s, -s), (1 - error) / error


def _row(stump, eps, beta, alpha):
    return {"rule": f"x{stump.feature_ + 1} > {stump.threshold_:g}", "eps": f"{eps:.4f}", "beta": f"{beta:.3g}",
            "ln beta": f"{alpha:.4f}"}


def _mail_rounds(model):
    x, y = spam8()
    figure, axes = panels(3, (4.4, 3.8), sharey=True)
    for j, (ax, stump, w) in enumerate(zip(axes, model.estimators_, model.staged_weights(x, y)), 1):
        ax.set(**MAIL_LIMITS, xlabel="links $x_1$")
        plot_weights(x, y, w, wrong=stump.predict(x) != y, ax=ax, **MAILS)
        plot_stump(stump.feature_, stump.threshold_, stump.polarity_, ax=ax)
        eps, beta = model.estimator_errors_[j - 1], model.betas_[j - 1]
        ax.set_title(rf"round {j}: $\varepsilon$ = {eps:.3f}, $\beta$ = {beta:.0f}")
    axes[0].set_ylabel("capitalized words $x_2$")
    _legend(axes[2], "upper right")
    return figure


def _mail_vote(model):
    x, y = spam8()
    figure, (ax,) = panels(1, (5.4, 4.2))
    plot_regions(model.predict, *MAIL_LIMITS.values(), ax=ax)
    plot_weights(x, y, wrong=model.predict(x) != y, ax=ax, **MAILS)
    for i, F in enumerate(model.decision_function(x)):
        ax.annotate(f"{F:+.2f}", x[i], (0, 11), textcoords="offset points", ha="center", fontsize=8)
    ax.set(xlabel="links $x_1$", ylabel="capitalized words $x_2$")
    _legend(ax)
    return figure


def _legend(ax, place="lower right"):
    """A legend whose marks are all of the same size."""
    for handle in ax.legend(loc=place, frameon=True).legend_handles:
        handle.set_sizes([50])


def _regions(model, x, y):
    rounds = sorted({1, 10, len(model.estimators_)})
    figure, axes = panels(len(rounds), (4.2, 3.6), sharey=True)
    for ax, r in zip(axes, rounds):
        def predict(points, r=r):
            return next(itertools.islice(model.staged_predict(points), r - 1, None))

        plot_regions(predict, *LIMITS, ax=ax)
        plot_weights(x, y, area=16, ax=ax)
        ax.set(title=f"{r} round{'s' * (r > 1)}", xlabel="$x_1$")
    axes[0].set_ylabel("$x_2$")
    return figure


def _hard(weight, x, y):
    figure, (ax,) = panels(1, (5.4, 4.0))
    plot_weights(x, y, weight, area=20, ax=ax)
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    _legend(ax)
    return figure
