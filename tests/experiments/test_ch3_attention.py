"""Experiments of attention: exact targets hold, the two rules and the scores of translations are what they say.

Proved: errata belong to experiments that name them; answers of the two rules by plain loops; token accuracy, exact
share and alignment on small cases by hand.
"""

import matplotlib

matplotlib.use("Agg")

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from minicv.experiments.ch3 import _errata, attention, layers  # noqa: E402
from minicv.experiments.ch3.heads import two_rules  # noqa: E402
from minicv.experiments.ch3.recurrent import alignment, exact_share, token_accuracy  # noqa: E402
from minicv.experiments.experiment import REGISTRY  # noqa: E402

pytestmark = pytest.mark.ch3
EXACT = [attention.dot_product, attention.self_attention, attention.masked, attention.cross, layers.embedding,
         layers.layer_norm, layers.norm_axes, layers.ffn]


@pytest.mark.parametrize("entry", EXACT, ids=lambda entry: entry.id)
def test_exact_targets_hold_for_another_seed(entry):
    entry("fast", rng=7).check()


def test_the_two_rules_by_loops():
    sample = two_rules(20, np.random.default_rng(0))
    for value, colour, answers in zip(sample["value"], sample["colour"], sample["answers"], strict=True):
        assert sorted(colour) == [0, 0, 1, 1, 2, 2, 3, 3]
        for i in range(8):
            twin = next(j for j in range(8) if j != i and colour[j] == colour[i])
            assert answers[i].tolist() == [value[i - 1], value[twin]]


def test_scores_of_translations_by_hand():
    target = np.array([[1, 5, 6, 2], [1, 7, 2, 0]])
    tokens = np.array([[5, 6, 2], [7, 9, 0]])                   # the second one misses its end
    assert token_accuracy(tokens, target) == 4 / 5 and exact_share(tokens, target) == 0.5
    assert token_accuracy(tokens[:, :1], target) == 2 / 5       # what was not written is wrong
    weights = np.array([[[0.1, 0.9], [0.2, 0.8]], [[1.0, 0.0], [1.0, 0.0]]])
    assert alignment(weights, np.array([[5, 6], [7, 0]])) == 2 / 3


@pytest.mark.parametrize("number", ["E3.1", "E3.2", "E3.4", "E3.5", "E3.12"])
def test_corrections_are_named_by_their_experiments(number):
    erratum = _errata.ERRATA[number]
    assert erratum.holds in REGISTRY[erratum.shown_by].departures
