"""The switch between themes and what the keyboard shows.

Proved: the button goes through system, light and dark, the choice holds on the next page, the dark page is dark; every
stop of the Tab key is seen; the landing page works opened as a file.
"""

import pytest

pytest.importorskip("selenium", reason="selenium is not installed: pip install -e '.[browser]'")

from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

from .conftest import BOOK, pages  # noqa: E402

FOCUS = """
const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
return {name: e.tagName + "." + e.className, outline: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1,
        ring: s.boxShadow !== "none", border: s.borderColor, seen: r.width > 0 && r.height > 0};
"""


def theme(browser):
    return browser.driver.find_element(By.TAG_NAME, "body").get_attribute("data-theme")


def background(browser):
    return browser.look("colors")["background"][:3]


@pytest.fixture
def landing(browser, book):
    """The landing page with the choice of a new reader."""
    browser.open(f"{book}index.html")
    browser.driver.execute_script("localStorage.removeItem('theme')")
    browser.open(f"{book}index.html")
    yield browser
    browser.driver.execute_script("localStorage.removeItem('theme')")


def test_the_button_goes_through_all_themes(landing):
    assert theme(landing) == "auto"
    seen = {}
    for _ in range(3):
        switch, = [one for one in landing.driver.find_elements(By.CSS_SELECTOR, "button.theme-toggle")
                   if one.is_displayed()]
        switch.click()
        seen[theme(landing)] = background(landing)
    assert set(seen) == {"auto", "light", "dark"}
    assert min(seen["light"]) > 200 and max(seen["dark"]) < 60 and seen["auto"] == seen["light"]


def test_the_choice_holds_on_the_next_page(landing, book):
    while theme(landing) != "dark":
        [one for one in landing.driver.find_elements(By.CSS_SELECTOR, "button.theme-toggle")
         if one.is_displayed()][0].click()
    landing.open(book + pages()[-1])
    assert theme(landing) == "dark" and max(background(landing)) < 60


def test_every_stop_of_the_keyboard_is_seen(landing):
    for _ in range(12):
        ActionChains(landing.driver).send_keys(Keys.TAB).perform()
        stop = landing.driver.execute_script(FOCUS)
        assert stop["seen"] and (stop["outline"] or stop["ring"]), stop


@pytest.mark.parametrize("page", ["index.html", "search.html?q=attention"])
def test_the_book_works_opened_as_files(browser, book, page):
    browser.open(f"{(BOOK / page.split('?')[0]).as_uri()}{page[page.find('?'):] if '?' in page else ''}")
    seen = browser.logs()
    assert seen.outside == [] and not [line for line in seen.console if line.startswith("SEVERE")]
