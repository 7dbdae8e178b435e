"""Every page of the book as a reader without a network meets it.

Proved for each page: silent console, no request to another host and none that fails, formulas are set, pictures are
there and have a text, players step, text stands out in both themes, nothing is cut off on a narrow screen, links lead
to something that exists.
"""

import collections
from urllib.parse import unquote, urldefrag

import pytest

from .conftest import BOOK, pages

each_page = pytest.mark.parametrize("page", pages())


@each_page
def test_loads_without_a_word_on_the_console(visit, page):
    assert visit(page).console == []


@each_page
def test_asks_no_other_host_and_nothing_fails(visit, page):
    assert visit(page).outside == [] and visit(page).failed == []


@each_page
def test_formulas_are_set(visit, page):
    math = visit(page).wide["math"]
    assert math["missing"] == [] and math["errors"] == [] and math["raw"] == []


@each_page
def test_pictures_are_there_and_have_a_text(visit, page):
    pictures = visit(page).wide["pictures"]
    assert pictures["broken"] == [] and pictures["mute"] == [] and pictures["mute drawings"] == []


@each_page
def test_players_step_each_for_itself(visit, page):
    for player in visit(page).wide["players"]:
        start, moved = player["start"], player["next"]
        second = min(1, start["frames"] - 1)
        assert start["visible"] == [start["at"]] == [0] and start["last"] == start["frames"] - 1, player
        assert moved["visible"] == [moved["at"]] == [second] and moved["caption"] == moved["label"], player
        assert player["end"] == start and player["alone"], player


@each_page
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out(visit, page, theme):
    """WCAG 2.2, 1.4.3: 4.5 to 1, large text 3 to 1."""
    seen = visit(page).wide["theme"] if theme == "light" else visit(page).dark
    assert seen["texts"] > 0 and seen["faint"] == []


@each_page
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_stand_out(visit, page, theme):
    seen = visit(page).wide["theme"] if theme == "light" else visit(page).dark
    assert seen["figures"] == []


@each_page
def test_the_dark_theme_is_dark(visit, page):
    light, dark = visit(page).wide["theme"]["background"], visit(page).dark["background"]
    assert min(light[:3]) > 200 and max(dark[:3]) < 60


@each_page
def test_fits_on_a_narrow_screen(visit, page):
    narrow = visit(page).narrow
    assert narrow["limit"] == 360 and narrow["width"] <= 360 and narrow["cut"] == []


@each_page
def test_has_one_title_and_no_id_twice(visit, page):
    """MyST wraps a labelled formula in a container with the formula's own name; both stand at the same place."""
    wide = visit(page).wide
    twice = [name for name, count in collections.Counter(wide["ids"]).items()
             if count > (2 if name.startswith("equation-") else 1)]
    assert wide["title"] and twice == []
    assert wide["heading"] == 1 or page == "search.html"            # its heading comes with the results


@each_page
def test_links_lead_to_pages_and_places_that_exist(visit, book, page):
    lost = []
    for link in visit(page).wide["links"]:
        address, place = urldefrag(link)
        if not address.startswith(book):
            continue
        target = unquote(address.removeprefix(book)).split("?")[0] or "index.html"
        if not (BOOK / target).is_file():
            lost.append(link)
        elif place and target.endswith(".html") and unquote(place) not in visit(target).wide["ids"]:
            lost.append(link)
    assert lost == []


def test_formulas_pictures_and_players_were_there_to_be_checked(visit):
    """The checks above say nothing about what is missing everywhere."""
    seen = [visit(page).wide for page in pages()]
    assert sum(one["math"]["places"] for one in seen) > 100
    assert sum(one["pictures"]["count"] for one in seen) > 50
    assert sum(len(one["players"]) for one in seen) >= 5
