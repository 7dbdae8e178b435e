"""The progress bar: items pass unchanged, and nothing is drawn where it would only be noise."""

import builtins
import io
import sys

import pytest

from minicv.train import progress as wrap
from minicv.train.progress import shown, silent, write


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Call it inside the test (pytest sets stderr anew before each test): a terminal as stderr."""
    def start():
        for name in ("CI", "MINICV_QUIET"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(sys, "stderr", Screen())
        return sys.stderr

    return start


@pytest.fixture
def no_tqdm(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.split(".")[0] == "tqdm":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_without_a_terminal_the_iterable_itself_comes_back(monkeypatch):
    items = [1, 2]
    assert wrap(items) is items and silent(items) is items and not shown()


@pytest.mark.parametrize("name", ["CI", "MINICV_QUIET"])
def test_a_variable_turns_the_bar_off(terminal, monkeypatch, name):
    screen = terminal()
    assert shown()
    monkeypatch.setenv(name, "1")
    assert not shown() and list(wrap(range(3))) == [0, 1, 2] and screen.getvalue() == ""
    monkeypatch.setenv(name, "0")
    assert shown()


def test_tqdm_draws_on_stderr_and_clears_its_line(terminal, capsys):
    screen = terminal()
    pytest.importorskip("tqdm")
    assert list(wrap(iter("abc"), desc="letters", total=3)) == ["a", "b", "c"]
    assert "letters" in screen.getvalue() and "3" in screen.getvalue()
    assert capsys.readouterr().out == ""


def test_the_plain_counter_draws_on_stderr_and_clears_its_line(terminal, no_tqdm, capsys):
    screen = terminal()
    assert list(wrap([1, 2, 3], desc="steps")) == [1, 2, 3]
    assert "steps 0/3" in screen.getvalue() and screen.getvalue().endswith("\r\x1b[K")
    assert list(wrap(iter([1]))) == [1] and capsys.readouterr().out == ""


def test_the_plain_counter_clears_its_line_when_the_loop_is_left(terminal, no_tqdm):
    screen = terminal()
    def leave():
        for _ in wrap(range(9), desc="x"):
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_results_go_to_stdout_also_while_a_bar_is_drawn(terminal, capsys):
    screen = terminal()
    for _ in wrap(range(2)):
        write("row")
    assert capsys.readouterr().out == "row\nrow\n" and "row" not in screen.getvalue()
