"""The course book.

* The link checker finds every planted fault and nothing else.
* The generated pages, without Sphinx: every public name has an entry, operations with their signature; every equation
  is numbered in order and leads to code with a test; every system has its place in a lesson; figures and errata are
  listed, what is missing as missing; glossary terms lead to lessons; docstrings keep their meaning as markup.
* The built book, where there is one (`make book`): no broken link, nothing from outside.
"""

import inspect
import re
import sys
from pathlib import Path

import pytest

from minicv.autograd import Op
from minicv.testing import registry

from .test_public_api import public_names

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "docs" / "_ext")]

import api  # noqa: E402
import check_links  # noqa: E402
import docstrings  # noqa: E402
import equations  # noqa: E402
import errata  # noqa: E402
import figures  # noqa: E402
import landing  # noqa: E402
import lessons  # noqa: E402
import pages  # noqa: E402
import sources  # noqa: E402
import systems  # noqa: E402
import uses  # noqa: E402

HTML = ROOT / "docs" / "_build" / "html"
LESSONS = pages.notebooks(ROOT)
TITLES = landing.chapters((ROOT / "COURSE.md").read_text(encoding="utf-8"))


# The link checker --------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path):
    """Two good pages; `site(text)` puts text into the first and returns the faults."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "style.css").write_text("@font-face { src: url(data:font/woff2;base64,AA) } a { fill: url(#x) }")
    (tmp_path / "sub" / "b.html").write_text('<h1 id="top-b">B</h1><a href="../a.html#here">back</a>')

    def check(text):
        (tmp_path / "a.html").write_text(f'<p id="here">{text}</p><link rel="stylesheet" href="style.css">')
        return check_links.faults(tmp_path)

    return check


@pytest.mark.parametrize("good", [
    '<a href="sub/b.html#top-b">b</a>', '<a href="#here">here</a>', '<a href="#">top</a>',
    '<a href="sub/b.html?q=1">b</a>',
    '<a href="https://example.org/paper">a paper</a>', '<a href="mailto:a@example.org">mail</a>',
    '<img src="data:image/png;base64,AA=">', '<p style="background: url(data:image/png;base64,AA)">', "<svg/>",
    '<a name="old"></a><a href="#old">old</a>', "<script>const x = 'https://example.org/'</script>"])
def test_good_references_pass(site, good):
    assert site(good) == []


@pytest.mark.parametrize("bad, words", [
    ('<a href="gone.html">x</a>', "no such file"), ('<a href="sub/b.html#gone">x</a>', "no such anchor"),
    ('<a href="#gone">x</a>', "no such anchor"), ('<a href="../../etc/passwd">x</a>', "leaves the folder"),
    ('<img src="gone.png">', "no such file"), ('<img srcset="gone.png 2x, style.css 1x">', "no such file"),
    ('<script src="https://cdn.example.org/x.js"></script>', "from outside"),
    ('<script src="//cdn.example.org/x.js"></script>', "from outside"),
    ('<link rel="stylesheet" href="http://example.org/x.css">', "from outside"),
    ('<iframe src="https://example.org"></iframe>', "from outside"),
    ('<style>@import "https://fonts.example.org/a.css";</style>', "from outside"),
    ('<p style="background: url(https://example.org/a.png)">', "from outside"),
    ('<video poster="https://example.org/a.png"></video>', "from outside"),
    ('<i id="twice"></i><b id="twice"></b>', "twice")])
def test_planted_faults_are_found(site, bad, words):
    found = site(bad)
    assert len(found) == 1 and words in found[0] and found[0].startswith("a.html: ")


def test_styles_in_files_are_checked(site, tmp_path):
    (tmp_path / "other.css").write_text("@import url('https://example.org/a.css'); p { background: url(gone.png) }")
    assert [fault.split(": ", 1)[1] for fault in site("")] == [
        "loads https://example.org/a.css from outside", "loads gone.png: there is no such file"]


def test_the_report_fails_for_faults_and_for_an_empty_folder(site, tmp_path, capsys):
    site("")
    assert check_links.report(tmp_path) == 0
    site('<a href="gone.html">x</a>')
    assert check_links.report(tmp_path) == 1 and "gone.html" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert check_links.report(tmp_path / "empty") == 1


# The reference -----------------------------------------------------------------------------------------


def test_every_public_name_has_an_entry_or_leads_to_one():
    text = "".join(api.pages().values())
    direct = set(re.findall(r"^\.\. (?:auto\w+|py:data):: (\S+)$", text, re.M))
    aliases = dict(re.findall(r"^``(\S+)`` is :py:obj:`(\S+)`\.$", text, re.M))
    assert set(aliases.values()) <= direct
    assert set(public_names()) - direct - set(aliases) == set()


def test_operations_are_documented_as_functions_with_their_signature():
    ops = {name: value for name, _, value in api.entries("minicv.functional") if isinstance(value, Op)}
    assert len(ops) > 50
    for name, op in ops.items():
        assert api.kind(op) == "function" and inspect.getdoc(op), name
        assert inspect.signature(op) == inspect.signature(op.forward), name
        assert sources.place(name), name


@pytest.mark.skipif(not (HTML / "api" / "functional.html").is_file(), reason="no built book: run `make book`")
def test_the_built_reference_shows_signatures_of_operations():
    text = (HTML / "api" / "functional.html").read_text(encoding="utf-8")
    for name in ("tanh", "max_pool2d", "conv2d", "roi_align"):
        entry = text.split(f'id="minicv.functional.{name}"', 1)[1].split("</dl>", 1)[0]
        assert 'class="sig-paren"' in entry and "source" in entry


def test_docstrings_keep_their_meaning_as_markup():
    text = """Sum of x_ over *args* |x|, `y_`, :math:`a_*`.

    S = sum of x * y

See below::

    kept as * it is

Parameters
----------
x, y : array (N, *size)
    Values.

        a block of x * y
*more : arrays

Reference: a paper, eq. 3.

a : the first
bb : the second
   with more
"""
    assert docstrings.rest(text.splitlines()) == [
        r"Sum of x\_ over \*args\* \|x\|, `y_`, :math:`a_*`.", "",
        "::", "", "    S = sum of x * y", "",
        "See below::", "", "    kept as * it is", "",
        "Parameters", "----------", "x, y : array (N, *size)", "    Values.", "",
        "    ::", "", "        a block of x * y", "*more : arrays", "",
        "", "", "Reference: a paper, eq. 3.", "",
        "* ``a``: the first", "* ``bb``: the second", "     with more", ""]


# Lessons -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_equations_are_numbered_in_order_and_all_get_a_label(path):
    numbers = [number for number, _, _ in lessons.equations(lessons.load(path))]
    assert numbers == list(range(1, len(numbers) + 1))
    staged = lessons.staged(path)
    assert [staged.count(f"({lessons.label(path.stem, n)})\\n") for n in numbers] == [1] * len(numbers)
    assert "\\\\tag{" not in staged


def test_mentions_of_equations_become_links_and_code_does_not():
    text = "As (1) says, not (7).\n\n$$x = f(1). \\tag{1}$$\n\n`f(1)` and $g (1)$; figure (a)\n\n```python\nf((1))\n```"
    assert lessons.marked(text, "12_adaptive", {1}, {1: "note"}) == (
        "As [(1)](#eq-12-1) says, not (7).\n\n\n$$x = f(1).$$ (eq-12-1)\n\n{.where}\nnote\n\n\n"
        "`f(1)` and $g (1)$; figure (a)\n\n```python\nf((1))\n```")


def test_most_equations_lead_to_code_and_all_that_code_to_a_test():
    found = [equation for path in LESSONS for equation in equations.of_lesson(path)]
    assert len(found) > 100
    assert sum(bool(equation.functions) for equation in found) > 0.9 * len(found)
    for equation in found:
        for file, name in equation.functions:
            assert name in sources.definitions(file), f"{equation.key}: {file} does not define {name}"
            assert equations.proofs((file, name)) or "simd" in file, f"{equation.key}: no test uses {name}"


def test_exceptions_are_about_equations_that_exist_and_are_needed():
    automatic = {equation.key: equation for path in LESSONS for equation in equations.found(path)}
    known = equations.exceptions()
    assert known.keys() <= automatic.keys() and len(known) < 0.25 * len(automatic)
    for key, exception in known.items():
        listed = () if isinstance(exception, str) else tuple(tuple(entry.split("#")) for entry in exception)
        assert listed != automatic[key].functions or not listed, f"{key} is found without help"


def test_known_equations_lead_to_their_functions_and_back():
    back = equations.back_links(LESSONS)
    for at, key in {("minicv/optim/adam.py", "adam_direction"): "12-4",
                    ("minicv/geometry/overlap.py", "box_iou"): "40-4",
                    ("minicv/kernels/integral.py", "integral_image"): "41-8"}.items():
        assert key in [equation.key for equation in back[at]]
    tests = uses.tests()[("minicv/optim/adam.py", "adam_direction")]
    assert all((ROOT / file).is_file() and test in sources.definitions(file) for file, test in tests)


def test_registered_operations_are_proved_by_the_generated_suite():
    assert len(uses.ops()) >= len(registry.specs()) - 5
    file, test = equations.SUITE
    assert test in sources.definitions(file)


# Systems, figures, errata, glossary --------------------------------------------------------------------


def test_every_system_has_its_place_in_a_lesson():
    places = systems.sections(LESSONS)
    wanted = {id for id, row in systems.catalog.load().items() if row["system"]}
    assert wanted - set(places) == set()


def test_systems_show_targets_results_and_what_is_stale():
    row = {**systems.catalog.find("test", "adam"), "title": "A title"}
    known = systems.results.load()
    fresh = {key: {**value, "sources": systems.results.digest(row)} for key, value in known.items() if key[0] == "adam"}
    text = systems._system(row, fresh, systems.sections(LESSONS))
    assert "3 of 3 seeds passed" in text and "stale" not in text and "✓" in text and "✗" not in text
    changed = {key: {**value, "sources": "other", "metrics": {}} for key, value in fresh.items()}
    text = systems._system(row, changed, {})
    assert "stale: the code has changed" in text and "✓" not in text and "Lesson: none yet" in text
    assert "no results yet" in systems._system(row, {}, {})


def test_figures_of_whole_chapters_are_all_there_and_missing_ones_are_listed():
    listed = figures.load(ROOT)
    for chapter in (1, 2, 3):
        assert [title for _, title, place in figures.located(chapter, listed, LESSONS) if place is None] == []
    text = figures.table(ROOT, LESSONS, TITLES)
    assert text.count("\n| ") == 4 + len(listed["numbered"]) + sum(map(len, listed["unnumbered"].values()))
    gone = {"numbered": {"1.99": "no such figure"}, "unnumbered": {"1": [["nothing", "no such words"]]}}
    assert [place for _, _, place in figures.located(1, gone, LESSONS)] == [None, None]


def test_all_errata_are_collected_with_their_remarks():
    text = errata.page(LESSONS, TITLES)
    entries = {id for n in TITLES for id in errata._entries(n)}
    assert len(entries) > 40 and all(f"**{id}.**" in text for id in entries)
    assert text.count("remark in <a") > 0.9 * len(entries)


def test_glossary_terms_are_sorted_and_each_leads_to_a_lesson():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").split("```{glossary}")[1]
    entries = re.findall(r"^(\S.*)\n  (\S.*)$", text, re.M)
    terms = [term.lower() for term, _ in entries]
    assert len(terms) >= 80 and terms == sorted(terms, key=lambda t: re.sub(r"[^a-z0-9 ]", " ", t))
    numbers = {path.stem[:2] for path in LESSONS}
    for term, said in entries:
        assert set(re.findall(r"\{lesson\}`(\d+)`", said)) & numbers, term


# The built book ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not (HTML / "index.html").is_file(), reason="no built book: run `make book`")
def test_the_built_book_has_no_broken_and_no_outside_references():
    assert check_links.faults(HTML) == []


@pytest.mark.parametrize("text, said", [
    ("# A heading\n\nWords that are no caption.", "A heading"),
    ("## A heading\n\n**Figure 2.1 (what\nis seen).** More.", "Figure 2.1 (what is seen)"),
    ("**Figure (one).**\n\n### The next\n\nText.", "The next"), ("Text.", "")])
def test_a_picture_is_described_by_the_last_caption_or_heading_above_it(text, said):
    assert lessons.caption_of(text) == said
