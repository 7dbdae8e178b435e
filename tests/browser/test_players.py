"""A player under real clicks and keys.

Proved: every button, the slider and every key do what they say, the caption follows, playing goes on by itself and
stops, two players on one page (also twice the same) do not meet, the focus is seen, and it fits on a phone.
"""

import numpy as np
import pytest

from minicv.plot import Player

pytest.importorskip("selenium", reason="selenium is not installed: pip install -e '.[browser]'")

from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402


def film(frames=4, title="ramp", **settings):
    images = [np.full((3, 8, 8), i / frames) for i in range(frames)]
    return Player(images, labels=[f"{title} {i}" for i in range(frames)], title=title, **settings).html()


class Hand:
    """Clicks and keys on player number `index` of the page."""

    def __init__(self, browser, index=0):
        self.browser, self.index = browser, index
        self.root = browser.driver.find_elements(By.CSS_SELECTOR, ".minicv-player")[index]

    def click(self, name):
        self.root.find_element(By.CSS_SELECTOR, f"[data-do={name}]").click()
        return self.at

    def press(self, key, on=None):
        target = self.root if on is None else self.root.find_element(By.CSS_SELECTOR, on)
        target.send_keys(key)
        return self.at

    @property
    def state(self):
        return self.browser.look("playerState", self.index)

    @property
    def at(self):
        """The frame shown; caption and slider must say the same."""
        state = self.state
        assert state["visible"] == [state["at"]] and state["caption"] == state["label"]
        return state["at"]

    def wait(self, reached):
        WebDriverWait(self.browser.driver, 10, poll_frequency=0.02).until(lambda _: reached(self.state))


def test_buttons_step_jump_and_wrap_around(opened):
    hand = Hand(opened(film()))
    assert hand.at == 0
    assert [hand.click(name) for name in ("next", "next", "back", "first", "back", "next")] == [1, 2, 1, 0, 3, 0]


def test_keys_step_and_jump(opened):
    hand = Hand(opened(film()))
    keys = [Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.END, Keys.HOME, "x"]
    assert [hand.press(key) for key in keys] == [1, 2, 1, 3, 0, 0]


def test_keys_on_the_slider_step_once(opened):
    """The slider has keys of its own; the player's must not come on top."""
    hand = Hand(opened(film()))
    keys = [Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.END, Keys.HOME]
    assert [hand.press(key, on="input") for key in keys] == [1, 2, 1, 3, 0]


def test_the_slider_is_dragged(opened):
    hand = Hand(opened(film(frames=5)))
    slider = hand.root.find_element(By.CSS_SELECTOR, "input")
    width = slider.size["width"]
    ActionChains(hand.browser.driver).move_to_element_with_offset(slider, -width // 2 + 6, 0).click_and_hold() \
        .move_by_offset(width // 2 - 6, 0).release().perform()
    assert hand.at == 2


def test_play_goes_on_and_stops(opened):
    hand = Hand(opened(film(interval=30)))
    hand.click("play")
    hand.wait(lambda state: state["playing"] and state["at"] == 2)
    hand.wait(lambda state: state["at"] == 0)                       # it begins again
    hand.click("play")
    stopped = hand.state
    assert not stopped["playing"]
    hand.browser.driver.execute_async_script("setTimeout(arguments[0], 150)")
    assert hand.state == stopped


def test_space_plays_and_a_step_stops(opened):
    hand = Hand(opened(film(interval=1000)))
    hand.press(" ")
    assert hand.state["playing"]
    hand.press(Keys.ARROW_RIGHT)
    assert not hand.state["playing"]


def test_space_on_a_button_presses_only_the_button(opened):
    hand = Hand(opened(film(interval=1000)))
    assert hand.press(" ", on="[data-do=next]") == 1 and not hand.state["playing"]


def test_two_players_do_not_meet(opened):
    browser = opened(film(interval=30) + film(title="other", frames=6))
    first, second = Hand(browser), Hand(browser, 1)
    assert second.click("next") == 1 and first.at == 0
    first.click("play")
    first.wait(lambda state: state["at"] == 3)
    assert second.at == 1 and second.press(Keys.END) == 5
    assert not second.state["playing"] and first.state["playing"]


def test_the_same_player_twice_on_one_page(opened):
    browser = opened(film() + film())
    first, second = Hand(browser), Hand(browser, 1)
    assert first.click("next") == 1 and second.at == 0
    assert second.press(Keys.END) == 3 and first.at == 1


def test_labels_are_text(opened):
    """U8: a label is shown as it is written."""
    label = '"><img src=x onerror="window.hurt=1">&amp;'
    browser = opened(Player([np.zeros((1, 4, 4))], labels=[label], title=label).html())
    assert Hand(browser).state["caption"] == label
    assert browser.driver.execute_script("return window.hurt") is None


def test_the_focus_is_seen(opened):
    browser = opened(film())
    focused = []
    for _ in range(3):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        element = browser.driver.switch_to.active_element
        focused.append(element.tag_name)
        assert element.value_of_css_property("outline-style") != "none"
        assert float(element.value_of_css_property("outline-width").removesuffix("px")) >= 1
    assert focused == ["div", "button", "button"]


def test_fits_on_a_phone(opened):
    wide = np.random.default_rng(0).random((3, 20, 900))
    browser = opened(Player([wide, wide], width=1200).html(), size=(360, 740))
    seen = browser.look("overflow")
    assert seen["width"] <= 360 and seen["cut"] == []


def test_the_page_stays_silent(opened):
    browser = opened(film())
    Hand(browser).click("next")
    seen = browser.logs()
    assert seen.console == [] and seen.outside == [] and seen.failed == []
