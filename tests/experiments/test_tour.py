"""The tour and its page.

Proved: the order of the entries, one table line for each target, the exit decision; the page is
self-contained, parses, carries an alt text for every figure, and escapes what experiments say (U8).
"""

import re
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import pytest

from minicv.experiments import Report, Target, catalog, run, tour
from minicv.experiments.html import figures_html, metric_rows, page, players_html, report_html, table_html
from minicv.plot import Player


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def finished(toys):
    return list(tour.tour(tour.entries(), seed=0))


def test_entries_come_in_the_order_of_the_course_and_can_be_chosen(toys):
    assert [row["id"] for row in tour.entries()] == ["toy-descent", "toy-taste"]
    assert [row["id"] for row in tour.entries([2])] == ["toy-taste"] and tour.entries([7]) == []


def test_each_target_has_its_line_with_threshold_and_value(finished):
    lines = [line for row, result in finished for line in tour.lines(row, result)]
    assert [line[:4] for line in lines] == [
        (1, "Gradient descent <on> a parabola", "steps 132", "= 132"), ("", "", "end 9.12e-07", "< 1e-06"),
        (2, "Taste of two", "two 2", "= 2")]
    assert all(len(str(cell)) <= width for line in lines for cell, width in zip(line, tour.widths(tour.entries())))


def test_a_miss_is_said_in_words(toys):
    row = catalog.find("run", "toy-miss")
    result = run("toy-miss")
    assert tour.lines(row, result)[0][3] == ">= 0.98  MISSED"
    assert tour.summary([(row, result)]) == "0 of 1 targets met"
    assert '<td class="missed">missed</td>' in tour.render([(row, result)], seed=0)


def test_the_page_is_one_file_and_needs_nothing_else(finished):
    text = tour.render(finished, seed=0)
    parsed = Reader(text)
    for tag, attrs in parsed.elements:
        assert tag not in ("script", "link", "iframe", "object", "base")
        assert "href" not in attrs and attrs.get("src", "data:").startswith("data:")
    assert not re.search(r"https?:|@import|url\(", re.sub(r'src="data:[^"]*"', "", text))


def test_the_page_reads_in_light_and_dark_and_on_a_narrow_screen(finished):
    text = tour.render(finished, seed=0)
    assert "prefers-color-scheme:dark" in text and 'name="viewport"' in text and "max-width:100%" in text
    tables = len(re.findall("<table>", text))
    assert tables == len(re.findall('<div class="scroll"><table>', text)) == 2


def test_every_figure_has_an_alt_text_and_a_caption(finished):
    parsed = Reader(tour.render(finished, seed=0))
    images = [attrs for tag, attrs in parsed.elements if tag == "img"]
    assert len(images) == 1 and images[0]["alt"] == "loss against step, curves: descent"
    assert "distance & step" in parsed.text


def test_a_figure_of_several_panels_gets_the_whole_width():
    def drawn(width):
        return lambda: plt.figure(figsize=(width, 3))
    text = figures_html({"two panels": drawn(10), "one": drawn(5)})
    assert text.count('<figure class="wide">') == 1 == text.count("<figure>")
    assert text.index('class="wide"') < text.index("two panels") < text.index("<figure>") < text.index("one<")


def test_a_figure_without_words_is_described_by_its_caption():
    assert 'alt="faces &amp; more"' in figures_html({"faces & more": lambda: plt.figure(figsize=(2, 2))})


def test_players_of_a_report_are_on_its_page():
    svg = '<svg viewBox="0 0 1 1"><circle r="1"/></svg>'
    report = Report({"a": 1.0}, players={"how <it> moves": lambda: Player([svg, svg], title="dots")})
    text = report_html(report)
    assert "<h3>how &lt;it&gt; moves</h3>" in text and text.count('<div class="minicv-player') == 1
    assert players_html({}) == ""


def test_the_page_escapes_what_experiments_say(finished):
    text = tour.render(finished, seed=0)
    assert "<on>" not in text and "Gradient descent &lt;on&gt; a parabola" in text
    assert not re.search("<b>|<i>|<u>", table_html([{"<b>": "<i>", "n": 1.0}], "<u>"))


def test_a_title_cannot_break_out_of_the_page():
    assert "<script>" not in page("</title><script>", "")


def test_metric_rows_show_targets_first_and_do_not_judge_a_smoke_run():
    report = Report({"b": 1.0, "a": 2.0}, targets=(Target("a", ">", 3),))
    assert metric_rows(report) == [("a", "2", "> 3", "missed"), ("b", "1", "", "")]
    report.preset = "smoke"
    assert metric_rows(report)[0][3] == "not judged"


def test_a_report_shows_itself_in_a_notebook(toys):
    report = run("toy-descent").report
    assert report._repr_html_() == report_html(report)
    text = Reader(report_html(report)).text
    assert "steps" in text and "132" in text and "met" in text and "first steps" in text


def test_drawing_a_page_leaves_no_figure_open(finished):
    import matplotlib.pyplot as plt

    tour.render(finished, seed=0)
    assert plt.get_fignums() == []
