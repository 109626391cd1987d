"""The page and the picture that `make bench` writes."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import page
from tests.bench.__main__ import MEASURES
from tests.bench.page import Circumstances, Curve, Goal, Row

ROWS = [
    Row(
        name="connect",
        unit="CPU-µs",
        figures={"floor": 26.4, "before": 350.0, "bridge": 150.0, "Reverb": 300.0},
        goal=Goal(most=0.45, of="Reverb"),
        missed="the kernel takes 120.",
    ),
    Row(name="start", unit="CPU-s", figures={"bridge": 0.29}, goal=Goal(most=0.3)),
]
CURVE = Curve(
    name="CPU-µs a delivery",
    size="connections",
    figures={100: {"floor": 4.0, "bridge": 6.0}, 10_000: {"floor": 5.0, "bridge": 8.0}},
)


def test_a_goal_is_in_the_figures_own_unit_or_a_part_of_another_servers() -> None:
    connect, start = Goal(most=0.45, of="Reverb"), Goal(most=0.3)
    assert connect.verdict({"bridge": 135, "Reverb": 300}) == "met: 0.45"
    assert connect.verdict({"bridge": 150, "Reverb": 300}) == "missed: 0.5"
    assert connect.verdict({"bridge": 150}) == "no Reverb here"
    assert start.verdict({"bridge": 0.3}) == "met"
    assert start.verdict({"bridge": 0.31}) == "missed"


def test_the_page_says_when_where_and_with_which_load_and_shows_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "benchmarks.md")
    monkeypatch.setattr(page, "PICTURE", tmp_path / "growth.svg")
    monkeypatch.setattr(platform, "release", lambda: "6.18.44-of-ours")
    run = Circumstances(began=time.time(), load_before=1.5, rounds=3, is_quick=True)
    page.write(ROWS, [CURVE, CURVE, CURVE], run)
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    for told in (time.strftime("%Y-%m-%d", time.gmtime()), "Load before the run 1.5", "3 rounds", "short"):
        assert told in text
    assert " 6.18, Python" in text
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert ["connect", "CPU-µs", "26.4", "350", "150", "300", "≤ 0.45 × Reverb", "missed: 0.5"] in cells
    verdict = "not judged" if run.is_busy else "met"
    assert ["start", "CPU-s", "–", "–", "0.29", "–", "≤ 0.3", verdict] in cells
    assert ["10,000", "5.00", "8.00"] in cells
    assert "REVERB" not in text
    assert "- *connect*: the kernel takes 120." in text
    drawn = ElementTree.parse(tmp_path / "growth.svg").getroot()  # noqa: S314 (our own)
    assert len(drawn.findall(".//{*}polyline")) == 6
    corners = [float(one) for circle in drawn.iter() for one in (circle.get("cx"), circle.get("cy")) if one]
    assert all(0 <= corner <= page.WIDTH for corner in corners)


def test_a_figure_without_a_goal_is_told_and_not_judged() -> None:
    row = Row(name="ready", unit="CPU-s", figures={"bridge": 0.9}, goal=None)
    assert row.cells() == ("ready", "CPU-s", "–", "–", "0.90", "–", "–", "")


def test_seconds_and_waits_are_not_judged_where_the_machine_was_busy() -> None:
    waits = Row(name="waits", unit="%", figures={"bridge": 9.0}, goal=Goal(most=5))
    memory = Row(name="memory", unit="MB", figures={"bridge": 69.0}, goal=Goal(most=70))
    verdicts = [row.cells(is_busy=True)[-1] for row in (*ROWS, waits, memory)]
    assert verdicts == ["missed: 0.5", "not judged", "not judged", "met"]


def test_a_run_without_reverb_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "benchmarks.md")
    monkeypatch.setattr(page, "PICTURE", tmp_path / "growth.svg")
    page.write(ROWS[1:], [CURVE], Circumstances(began=0, load_before=0, rounds=1, is_quick=False))
    assert "Reverb was not measured" in (tmp_path / "benchmarks.md").read_text(encoding="utf-8")


def test_the_page_in_docs_has_a_row_for_everything_that_is_measured() -> None:
    if page.PAGE.exists():  # once `make bench` has been run
        told = page.PAGE.read_text(encoding="utf-8")
        assert [measure.name for measure in MEASURES if f"| {measure.name} " not in told] == []
