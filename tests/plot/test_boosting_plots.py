"""Plots of boosting and trees: sizes, lines, regions and texts are where the data say; bad shapes are refused."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from minicv.ensembles import DecisionTreeClassifier, DecisionTreeRegressor  # noqa: E402
from minicv.errors import ArgError, ShapeError  # noqa: E402
from minicv.plot import plot_regions, plot_stump, plot_tree, plot_weights  # noqa: E402

pytestmark = pytest.mark.ch4
X, Y = np.array([[0.0, 0], [1, 0], [0, 2]]), np.array([0, 1, 1])


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_the_area_of_a_marker_is_its_weight():
    ax = plot_weights(X, Y, [1, 2, 3], wrong=[False, False, True], class_names=["ham", "spam"], area=100)
    zero, one, cross = ax.collections
    assert zero.get_sizes().tolist() == [50] and one.get_sizes().tolist() == [100, 150]
    assert one.get_offsets().tolist() == [[1, 0], [0, 2]] and cross.get_offsets().tolist() == [[0, 2]]
    assert [c.get_label() for c in ax.collections] == ["ham", "spam", "wrong"]


@pytest.mark.parametrize("feature, polarity", [(0, 1), (0, -1), (1, 1), (1, -1)])
def test_a_stump_is_a_line_with_arrows_to_its_positive_side(feature, polarity):
    ax = plt.subplots()[1]
    ax.set(xlim=(0, 10), ylim=(0, 10))
    plot_stump(feature, 4.0, polarity, ax=ax)
    line, = ax.lines
    assert set(line.get_data()[feature]) == {4.0} and len(ax.texts) == 3
    assert all(np.sign(t.xyann[feature] - t.xy[feature]) == -polarity for t in ax.texts)   # arrow goes to t.xy


def test_regions_ask_the_classifier_on_a_grid():
    asked = []
    ax = plot_regions(lambda p: (asked.append(p), (p[:, 0] > 0).astype(int))[1], (-1, 1), (0, 2), resolution=9)
    assert asked[0].shape == (81, 2) and asked[0].min(axis=0).tolist() == [-1, 0]
    assert ax.get_xlim() == (-1, 1) and ax.get_ylim() == (0, 2)


def test_a_tree_shows_all_its_questions_and_answers():
    model = DecisionTreeClassifier().fit(X, ["a", "b", "c"])
    texts = [t.get_text() for t in plot_tree(model, feature_names=["u", "v"]).texts]
    assert sorted(t.split("\n")[0] for t in texts) == ["class a", "class b", "class c", "u <= 0.5", "v <= 1"]
    texts = [t.get_text() for t in plot_tree(model, max_depth=1).texts]
    assert len(texts) == 3 and sum(t.startswith("...") for t in texts) == 1
    assert [t.get_text() for t in plot_tree(DecisionTreeRegressor().fit(X, [2, 2, 2])).texts] == ["value 2.00\nn = 3"]


@pytest.mark.parametrize("call, error, text", [
    (lambda: plot_weights(X[:, :1], Y), ShapeError, r"x has shape \(3, 1\)"),
    (lambda: plot_weights(X, Y[:2]), ShapeError, r"y has shape \(2,\)"),
    (lambda: plot_weights(X, Y, [1, 2]), ShapeError, r"weight has shape \(2,\)"),
    (lambda: plot_weights(X, Y, [1, 2, -1]), ArgError, "weights >= 0"),
    (lambda: plot_weights(X, Y + 9), ArgError, r"classes in \[0, 8\)"),
    (lambda: plot_stump(2, 0.0), ArgError, "feature is 2"),
    (lambda: plot_regions(len, (1, 0), (0, 1)), ArgError, "xlim is"),
    (lambda: plot_regions(lambda p: p, (0, 1), (0, 1)), ShapeError, "predict gives shape"),
    (lambda: plot_tree(DecisionTreeClassifier()), ArgError, "expected a fitted decision tree"),
])
def test_bad_input_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
