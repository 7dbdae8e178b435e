"""The book's search, as a reader uses it without a network.

Proved: terms of the field, names of functions and words of titles find pages, the first hit is about the term, each of
the first hits exists and has the place it names; the search field of a page leads to the same results; a word that is
nowhere says so.
"""

from urllib.parse import quote, unquote, urldefrag

import pytest

pytest.importorskip("selenium", reason="selenium is not installed: pip install -e '.[browser]'")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from .conftest import BOOK  # noqa: E402

HITS = "#search-results ul.search li"


def finished(driver):
    """Sphinx says how many pages match when it has listed all."""
    summary = driver.find_elements(By.CSS_SELECTOR, "#search-results .search-summary")
    return bool(summary and any(words in summary[0].text for words in ("Search finished", "did not match")))


def hits(browser):
    """(text, address) of the results, best first."""
    WebDriverWait(browser.driver, 20, poll_frequency=0.05).until(finished)
    return [(item.text, item.find_element(By.TAG_NAME, "a").get_attribute("href"))
            for item in browser.driver.find_elements(By.CSS_SELECTOR, HITS)]


@pytest.mark.parametrize("term", ["winograd", "integral image", "attention", "roi_align", "RoI align", "conv2d",
                                  "momentum", "AdaBoost", "intersection over union"])
def test_terms_of_the_field_are_found(browser, book, term):
    browser.open(f"{book}search.html?q={quote(term)}")
    found = hits(browser)
    words = term.lower().replace("_", " ").split()
    assert found, term
    best = (found[0][0] + page_of(book, found[0][1])).lower().replace("_", " ")
    assert all(word in best for word in words), found[0]
    seen = browser.logs()
    assert seen.console == [] and seen.outside == [] and seen.failed == []
    for _, link in found[:5]:
        assert exists(book, link), link


def page_of(book, link):
    """Source of the page that a link leads to, empty where there is none."""
    path = BOOK / unquote(urldefrag(link)[0].removeprefix(book)).split("?")[0]
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def exists(book, link):
    """Whether the page is there and has the place."""
    text, place = page_of(book, link), urldefrag(link)[1]
    return bool(text) and (not place or f'id="{unquote(place)}"' in text)


def test_the_first_hit_opens(browser, book):
    browser.open(f"{book}search.html?q=winograd")
    hits(browser)
    browser.driver.find_element(By.CSS_SELECTOR, f"{HITS} a").click()
    browser.look("settled")
    assert "search.html" not in browser.driver.current_url
    assert "winograd" in browser.driver.find_element(By.TAG_NAME, "body").text.lower()


def test_the_search_field_of_a_page_leads_to_the_results(browser, book):
    browser.open(f"{book}index.html")
    field = browser.driver.find_element(By.CSS_SELECTOR, "input[name=q]")
    field.send_keys("attention", Keys.ENTER)
    WebDriverWait(browser.driver, 20).until(lambda driver: "search.html" in driver.current_url)
    assert hits(browser)


def test_a_word_that_is_nowhere_says_so(browser, book):
    browser.open(f"{book}search.html?q=xyzzyplugh")
    assert hits(browser) == []
    assert "did not match" in browser.driver.find_element(By.ID, "search-results").text
