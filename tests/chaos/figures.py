"""What every row came to last: docs/chaos.json holds it, and the table of docs/chaos.md is made from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.chaos.rig import Figures
from tests.chaos.table import ROWS, UNTRIED, Row

DOCS = Path(__file__).resolve().parents[2] / "docs"
DATA, PAGE = DOCS / "chaos.json", DOCS / "chaos.md"
NUMBERS = ("trials", "jobs", "lost", "twice", "wrong_failed", "unseen", "other")
BEGIN, END = "<!-- begin: written by make chaos -->", "<!-- end -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """A row on a store. `store` is empty for ordinary tests, which are counted as trials.

    twice         events that came twice on a socket
    wrong_failed  good jobs in failed_jobs
    unseen        deleted, and seen by nobody
    other         everything else that did not hold
    """

    row: str
    does: str
    store: str
    date: str
    trials: int
    jobs: int
    lost: int
    twice: int
    wrong_failed: int
    unseen: int
    other: int
    note: str = ""


def last(row: Row, store: str, date: str, figures: Figures) -> Last:
    counted = ("lost", "twice", "wrongly failed", "failed though sent", "unseen")
    rest = sum(fault.kind not in counted for fault in figures.found) + len(figures.broken)
    return Last(
        row=row.id,
        does=row.does,
        store=store,
        date=date,
        trials=figures.trials,
        jobs=figures.jobs,
        lost=figures.number("lost"),
        twice=figures.number("twice"),
        wrong_failed=figures.number("wrongly failed", "failed though sent"),
        unseen=figures.number("unseen"),
        other=rest,
        note=figures.note,
    )


def known(data: Path = DATA) -> list[Last]:
    """In the order of the table."""
    if not data.exists():
        return []
    order = {(row.id, row.does): number for number, row in enumerate(ROWS)}
    found = [Last(**entry) for entry in json.loads(data.read_text())]
    return sorted(
        (it for it in found if (it.row, it.does) in order), key=lambda it: (order[it.row, it.does], it.store)
    )


def keep(new: Last, data: Path = DATA, page: Path = PAGE, *, add: bool = False) -> None:
    """It takes the place of what the row came to on this store before, in the file and on the page; or its
    numbers are added to that."""
    kept = known(data)
    for before in [it for it in kept if (it.row, it.does, it.store) == (new.row, new.does, new.store)]:
        kept.remove(before)
        if add:
            sums = {what: getattr(before, what) + getattr(new, what) for what in NUMBERS}
            new = replace(new, **sums)
    data.write_text(json.dumps([asdict(it) for it in [*kept, new]], indent=1) + "\n")
    write(known(data), page)


def write(found: list[Last], page: Path = PAGE) -> None:
    """The page's table is that of these figures; its other text stays."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{table(found)}\n\n{untried()}\n\n{END}{after}")


def table(found: list[Last]) -> str:
    lines = [
        "| row | tier | what is done | store | date | trials | jobs | lost | twice | wrongly failed |"
        " seen by nobody | other | measured |",
        "|---|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    tiers = {(row.id, row.does): row.tier for row in ROWS}
    for it in found:
        cells = [it.row, tiers[it.row, it.does], it.does, it.store or "tests", it.date, it.trials]
        if it.store:
            cells += [it.jobs, it.lost, it.twice, it.wrong_failed, it.unseen, it.other, it.note]
        else:
            cells += ["", "", "", "", "", it.other, it.note]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def untried() -> str:
    return "\n".join(
        ["Rows that are not tried here:", "", *(f"- {id}: {why}." for id, why in UNTRIED.items())]
    )
