"""Every experiment of the course, in its smallest form: each line runs, numbers are finite, figures draw.

The list comes from the index, so a new experiment is covered as soon as it is there.
"""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import pytest  # noqa: E402

from minicv.experiments import catalog  # noqa: E402

ROWS = [pytest.param(row, id=row["id"], marks=getattr(pytest.mark, f"ch{row['chapter']}"))
        for row in catalog.load().values()]


@pytest.mark.parametrize("row", ROWS)
def test_an_experiment_runs_and_shows_itself(row, smoke):
    report, _ = smoke(row["id"])
    for caption, draw in report.figures.items():
        figure = draw()
        assert caption and figure.axes and all(map(shows_something, figure.axes)), caption
        plt.close(figure)
    for caption, make in report.players.items():
        assert caption and make().frames, caption
    for caption, rows in report.tables.items():
        assert caption and rows and all(list(line) == list(rows[0]) for line in rows)
    assert row["title"].split()[0] in report._repr_html_().replace("&#x27;", "'").replace("&amp;", "&")
    assert not plt.get_fignums()


def shows_something(ax):
    return ax.has_data() or ax.images or ax.patches or ax.texts or not ax.axison
