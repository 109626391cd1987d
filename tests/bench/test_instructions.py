"""No hot path takes more instructions than it did."""

from __future__ import annotations

from tests.bench.instructions import MARGIN, RECORDED, measured, too_many


def test_no_hot_path_takes_more_instructions_than_recorded() -> None:
    found = measured()
    assert not too_many(found), found


def test_what_takes_more_is_named() -> None:
    assert too_many(RECORDED) == []
    assert too_many({**RECORDED, "connect": RECORDED["connect"] * MARGIN * 1.01}) == ["connect"]
