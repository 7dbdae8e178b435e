"""The committed parity table: what is proved here.

It has a row for every network that has a public reference, no row is red, and the page shows the stored numbers.
"""

import json

import pytest

from benchmarks import parity

STORE = json.loads((parity.DOCS / "parity.json").read_text(encoding="utf-8"))
ROWS = {row["name"]: row for row in STORE["rows"]}


def test_every_network_with_a_reference_has_a_row():
    assert set(ROWS) == set(parity.names())


@pytest.mark.parametrize("name", ROWS)
def test_no_row_is_red(name):
    assert parity.red(ROWS[name]) == []


def test_a_row_that_is_wrong_would_be_red():
    row = dict(STORE["rows"][0])
    assert parity.red(row | {"macs": [1, 2]}) == ["macs"]
    assert parity.red(row | {"float32": [1e-6, 2e-4]}) == ["float32"]
    assert parity.red(row | {"float64": [float("nan"), 0.0]}) == ["float64"]
    assert "**red: macs**" in parity.page([row | {"macs": [1, 2]}], [])


def test_the_page_is_made_of_the_rows():
    page = (parity.DOCS / "parity.md").read_text(encoding="utf-8")
    assert page == parity.page(STORE["rows"], STORE["versions"])
