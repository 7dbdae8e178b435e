"""Section 4.3: one-to-one matching of predictions and objects."""

import itertools

import numpy as np

from ...errors import MinicvError
from ...geometry import generalized_box_iou
from ...matching import greedy_assignment, linear_assignment
from ...plot import PALETTE, plot_costs
from .. import Report, Target, experiment
from ..parts import exact, panels, refused
from ._boxes import random_boxes
from ._errata import departures

EXAMPLE = np.array([[0.2, 0.9], [0.3, 0.1], [0.4, 0.8]])           # predictions x objects


@experiment(
    "hungarian-matching", title="Bipartite matching", chapter="4.3",
    notebook="notebooks/42_proposals.py", module="minicv/matching/hungarian.py",
    paper="Kuhn 1955, The Hungarian method; Jonker & Volgenant 1987; Carion et al. 2020, End-to-end object detection",
    equations="s* = argmin over one-to-one s of the sum of cost[i, s(i)]",
    shows="The best of all permutations, without trying them; taking the cheapest pair first can be far from it.",
    departures=departures("E4.32"),
    targets=[*exact({"example_cost": (0.3, 1e-15), "example_right_pairs": 2, "example_unmatched": 1, "not_optimal": 0,
                     "not_one_to_one": 0, "changed_by_permutation": (0, 1e-12), "bad_costs_refused": 4}),
             Target("greedy_excess", ">", 0, tag="E"), Target("greedy_worse_share", ">=", 0.1)])
def hungarian(preset, rng, out, progress):
    count = {"smoke": 30, "fast": 1000, "full": 5000}[preset]
    rows, columns = linear_assignment(EXAMPLE)
    checks = np.array([_against_all(_costs(rng)) for _ in progress(range(count), desc="problems")])
    metrics = {
        "example_cost": EXAMPLE[rows, columns].sum(), "example_unmatched": len({0, 1, 2} - set(rows.tolist())),
        "example_right_pairs": len({(0, 0), (1, 1)} & set(zip(rows.tolist(), columns.tolist(), strict=True))),
        "not_optimal": (checks[:, 0] > 1e-9).sum(), "not_one_to_one": checks[:, 1].sum(),
        "changed_by_permutation": _changed_by_permutation(rng), "greedy_excess": checks[:, 2].mean(),
        "greedy_worse_share": (checks[:, 2] > 1e-9).mean(),
        "bad_costs_refused": refused(MinicvError, *(lambda c=c: linear_assignment(c) for c in (
            np.array([[np.nan, 1]]), np.array([[np.inf, 1]]), np.zeros(3), np.zeros((2, 2, 2)))))}
    return Report(metrics, {"4.20 Permutations and the optimum": _permutations,
                            "Costs and the optimal pairs": lambda: plot_costs(
                                EXAMPLE, linear_assignment(EXAMPLE), rows=[f"prediction {i}" for i in range(3)],
                                columns=[f"object {j}" for j in range(2)]).figure})


def _costs(rng, largest=7):
    """A random problem, half of them with ties; square or not, either way round."""
    cost = rng.standard_normal(rng.integers(1, largest + 1, 2))
    return np.round(2 * cost) if rng.random() < 0.5 else cost


def _all_totals(cost):
    """The total of every one-to-one map of the shorter side into the longer one."""
    cost = cost if cost.shape[0] <= cost.shape[1] else cost.T
    maps = np.array(list(itertools.permutations(range(cost.shape[1]), len(cost))))
    return cost[np.arange(len(cost)), maps].sum(axis=1)


def _against_all(cost):
    """(total above the best of all, not one to one, greedy total above the best of all)."""
    rows, columns = linear_assignment(cost)
    one_to_one = len(set(rows.tolist())) == len(set(columns.tolist())) == min(cost.shape)
    best = _all_totals(cost).min()
    return cost[rows, columns].sum() - best, not one_to_one, cost[greedy_assignment(cost)].sum() - best


def _changed_by_permutation(rng, count=20):
    """How much the optimal GIoU cost of predictions and objects depends on their order."""
    cost = 1 - generalized_box_iou(random_boxes(rng, count), random_boxes(rng, count // 2))
    shuffled = cost[rng.permutation(count)][:, rng.permutation(count // 2)]
    return abs(cost[linear_assignment(cost)].sum() - shuffled[linear_assignment(shuffled)].sum())


def _permutations():
    """All six maps of three predictions to two objects and "no object", which costs nothing; the best is orange."""
    padded = np.concatenate([EXAMPLE, np.zeros((3, 1))], axis=1)
    best = tuple(linear_assignment(padded)[1])
    figure, axes = panels(6, (2.1, 2.8))
    for ax, order in zip(axes, itertools.permutations(range(3)), strict=True):
        for i, j in enumerate(order):
            ax.plot([0, 1], [-i, -j], "o-", color=PALETTE[1] if order == best else "gray",
                    linewidth=3 if order == best else 1.2)
        ax.set_title(f"cost {padded[range(3), order].sum():.1f}", fontsize=9)
        ax.set(xlim=(-0.35, 1.35), ylim=(-2.4, 0.4))
        for k, name in enumerate(("object 0", "object 1", "none")):
            ax.text(0, -k - 0.12, f"pred. {k}", ha="center", va="top", fontsize=8)
            ax.text(1, -k - 0.12, name, ha="center", va="top", fontsize=8)
        ax.set_axis_off()
    return figure
