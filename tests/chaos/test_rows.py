"""The rows of tier C in small numbers, and the table of all rows."""

from __future__ import annotations

import ast
import json
import random
from pathlib import Path
from uuid import UUID

import pytest

from tests.chaos.figures import BEGIN, DATA, END, PAGE, keep, known, last, table, untried
from tests.chaos.ground import Ground
from tests.chaos.history import Fault
from tests.chaos.rig import Figures, rig
from tests.chaos.table import ROWS, UNTRIED, Row, rows
from tests.end_to_end.laravel import ROOT
from tests.end_to_end.stores import StoreName

SMALL = [(row, store, trials) for row in ROWS for store, trials in row.small]


@pytest.mark.parametrize(
    ("row", "store", "trials"), SMALL, ids=[f"{row.id}-{store}" for row, store, _ in SMALL]
)
def test_a_row_of_tier_c_holds(
    row: Row, store: StoreName, trials: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    assert row.run is not None
    seed = random.randrange(10**6)
    figures = row.run(
        Ground(
            store=store, folder=tmp_path / "ground", trials=trials, seed=seed, server=request.getfixturevalue
        )
    )
    assert figures.holds, f"seed {seed}: {figures}"
    assert figures.trials >= trials
    assert figures.jobs


def test_every_row_is_tried_somehow_and_has_a_name_of_its_own() -> None:
    assert len({(row.id, row.does) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.run or row.tests, row
        assert row.tier != "C" or row.small or row.tests, f"{row} is not in make test"
        assert {store for store, _ in row.small} <= set(row.stores)
    assert not {row.id for row in ROWS} & {name.partition(",")[0] for name in UNTRIED}


@pytest.mark.parametrize("node", sorted({node for row in ROWS for node in row.tests}))
def test_every_test_that_a_row_names_is_there(node: str) -> None:
    path, _, name = node.partition("::")
    assert (ROOT / path).exists(), "it may have been renamed"
    if name:
        tree = ast.parse((ROOT / path).read_text())
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        assert name in {it.name for it in ast.walk(tree) if isinstance(it, functions)}


def test_a_row_that_there_is_not_is_told_those_there_are() -> None:
    with pytest.raises(LookupError, match="F-01, F-02"):
        rows("F-99")


def test_the_page_shows_what_the_file_holds() -> None:
    text = PAGE.read_text()
    shown = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()
    assert shown == f"{table(known(DATA))}\n\n{untried()}"


def test_what_a_row_comes_to_takes_the_place_of_what_it_came_to_before(tmp_path: Path) -> None:
    data, page = tmp_path / "chaos.json", tmp_path / "chaos.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    [row] = rows("F-01")
    bad = Figures(trials=3, jobs=9, found=(Fault("lost", "job-1"), Fault("hole", "job-2")), broken=("no",))
    keep(last(row, "redis", "2026-01-01", bad), data, page)
    keep(last(row, "sqlite", "2026-01-02", Figures(trials=4, jobs=8)), data, page)
    assert "| redis | 2026-01-01 | 3 | 9 | 1 | 0 | 0 | 0 | 2 |" in page.read_text()
    keep(last(row, "redis", "2026-01-03", Figures(trials=5, jobs=7, note="quick")), data, page)
    keep(last(row, "sqlite", "2026-01-02", bad), data, page, add=True)
    [added] = [it for it in known(data) if it.store == "sqlite"]
    assert (added.trials, added.jobs, added.lost, added.other) == (7, 17, 1, 2)
    keep(last(row, "sqlite", "2026-01-02", Figures(trials=4, jobs=8)), data, page)
    found = known(data)
    assert [(it.store, it.date, it.lost, it.other) for it in found] == [
        ("redis", "2026-01-03", 0, 0),
        ("sqlite", "2026-01-02", 0, 0),
    ]
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "2026-01-01" not in text
    assert "| 5 | 7 | 0 | 0 | 0 | 0 | 0 | quick |" in text


def test_a_history_begins_after_the_jobs_before_it(tmp_path: Path) -> None:
    """Also where the last deed of the record tells when it was begun."""
    with rig("sqlite", tmp_path) as one:
        one.know("line")
        tags = one.push("line", "line", "line")
        record = tmp_path / "app/storage/logs/record.jsonl"
        deeds = [[2.0 + n, "bridge-1", "reserved", str(UUID(int=n)), 1, 1.5 + n] for n in (1, 2, 3)]
        record.write_text("".join(f"\n{json.dumps(deed)}" for deed in deeds))
        history = one.history(since=1)
        assert [it.job for it in history.pushed] == tags[1:]
        assert [(it.job, it.since) for it in history.done] == [(tags[1], 3.5), (tags[2], 4.5)]
