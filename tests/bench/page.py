"""What `python -m tests.bench` has measured, as a table, as a picture, and as the page docs/benchmarks.md."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE, PICTURE = ROOT / "docs/benchmarks.md", ROOT / "docs/images/growth.svg"
COLUMNS = ("floor", "before", "bridge")  # a server each; in the last column what of PHP does the same
PHP = ("Reverb", "queue:work + Reverb", "queue:work")
COLOURS = ("#8a8f98", "#4051b5", "#d9822b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The most that a figure of bridge may be: in its own unit, or as a part of another server's."""

    most: float
    of: str | None = None

    def __str__(self) -> str:
        return f"≤ {self.most:g} × {self.of}" if self.of else f"≤ {self.most:g}"

    def verdict(self, figures: Mapping[str, float]) -> str:
        """`met` or `missed`, or what could not be compared."""
        if self.of is None:
            return "met" if figures["bridge"] <= self.most else "missed"
        if self.of not in figures:
            return f"no {self.of} here"
        ratio = figures["bridge"] / figures[self.of]
        return f"{'met' if ratio <= self.most else 'missed'}: {ratio:.3g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that was measured: the median of each server. `goal` is None where there is none.

    `missed` says why, where the goal is missed.
    """

    name: str
    unit: str
    figures: Mapping[str, float]
    goal: Goal | None
    missed: str = ""

    def cells(self, *, is_busy: bool = False) -> tuple[str, ...]:
        """`is_busy`: the machine had so much else to do that seconds and waits say little of bridge."""
        of_php = next((self.figures[name] for name in PHP if name in self.figures), None)
        found = (*map(self.figures.get, COLUMNS), of_php)
        figures = ("–" if figure is None else number(figure) for figure in found)
        if self.goal is None:
            return (self.name, self.unit, *figures, "–", "")
        is_of_load = self.goal.of is None and self.unit not in ("bytes", "MB")
        verdict = "not judged" if is_busy and is_of_load else self.goal.verdict(self.figures)
        return (self.name, self.unit, *figures, str(self.goal), verdict)

    def is_missed(self, *, is_busy: bool) -> bool:
        return self.cells(is_busy=is_busy)[-1].startswith("missed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How figures grow: for each size, those of each line."""

    name: str
    size: str
    figures: Mapping[int, Mapping[str, float]]

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(next(iter(self.figures.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """When, where and with which load on the machine a run was made."""

    began: float
    load_before: float
    rounds: int
    is_quick: bool

    @classmethod
    def now(cls, *, rounds: int, is_quick: bool) -> Circumstances:
        return cls(began=time.time(), load_before=os.getloadavg()[0], rounds=rounds, is_quick=is_quick)

    @property
    def is_busy(self) -> bool:
        """More processes wanted a processor than there are."""
        return max(self.load_before, os.getloadavg()[0]) > (os.cpu_count() or 1) + 1

    def __str__(self) -> str:
        day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.began))
        minutes = (time.time() - self.began) / 60
        return (
            f"Measured on {day} in {minutes:.0f} minutes, at commit {commit(ROOT)}"
            f"{', short' * self.is_quick}: medians of {self.rounds} rounds. "
            f"{_processor()}, {os.cpu_count()} processors, {platform.system()} {_release()}, "
            f"Python {platform.python_version()}. "
            f"Load before the run {self.load_before:.1f}, at its end {os.getloadavg()[0]:.1f}."
        )


def commit(checkout: Path) -> str:
    """Its name, with a mark where files differ from it."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _release() -> str:
    """Of the system: major and minor."""
    return ".".join(platform.release().split(".")[:2])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def number(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{2 if value < 1 else 1 if value >= 10 else 2}f}"


HEADS = ("what", "unit", *COLUMNS, "PHP", "goal", "")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown, its columns even."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    lines.insert(1, ["-" * max(width, 3) for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def curve_table(curve: Curve) -> str:
    rows = ((f"{size:,}", *map(number, of.values())) for size, of in curve.figures.items())
    return f"{curve.name}:\n\n{table((curve.size, *curve.lines), rows)}"


TEXT = """# Benchmarks

`make bench` writes this page; `QUICK=1` is a short run. {circumstances}

The *floor* is a server in C that does the least possible: it reads, and calls `send` once for each delivery.
What it costs is what the kernel costs. *bridge* is the whole `bridge serve` on an idle Redis queue. Servers
run in turn, on one processor, the load generator on another. CPU is the scheduler's own count for the
server's process. A busy machine lengthens times in ms, and raises CPU too (1.3 to 2 times at a load of 30 on
two processors), so compare figures of one run only. *PHP* is what the goal names: Reverb, or Laravel's
`queue:work`, which posts to Reverb or has the `null` broadcaster and sends nothing. The loop's waits for
Python's lock are in percent of its waking time, while 2,000 events of a model come each second; with
`--processes 2` those of the loop that has the clients.{before}{busy}{reverb}

{rows}
{missed}
## Growth

A flat line is what scales: each unit costs the same, however many there are.

![What one unit costs as connections, channels, members and jobs grow](images/growth.svg)

{curves}
"""
BUSY = """

**The machine was busy** during this run. So goals in seconds, and for waits, are not judged: only those in
bytes, and those that are a part of what another server took in the same run."""
BEFORE = """
*before* is bridge at commit {commit}, in the same run."""
MISSED = """
## Where a goal is missed

What was found to cost the rest, by instructions and profiles of the same code.

{reasons}
"""
NO_REVERB = """

Reverb was not measured: set `REVERB` to the folder of a Laravel app that has it
(`composer require laravel/reverb`)."""


def write(rows: Sequence[Row], curves: Sequence[Curve], circumstances: Circumstances) -> None:
    has_reverb = any("Reverb" in row.figures for row in rows)
    before = os.environ.get("BEFORE", "") if any("before" in row.figures for row in rows) else ""
    is_busy = circumstances.is_busy
    reasons = [
        f"- *{row.name}*: {row.missed}" for row in rows if row.is_missed(is_busy=is_busy) and row.missed
    ]
    told = str(circumstances)  # before a file is changed
    PICTURE.write_text(picture(curves), encoding="utf-8")
    text = TEXT.format(
        circumstances=told,
        before=BEFORE.format(commit=commit(Path(before))) if before else "",
        busy=BUSY if is_busy else "",
        reverb="" if has_reverb else NO_REVERB,
        rows=table(HEADS, (row.cells(is_busy=is_busy) for row in rows)),
        missed=MISSED.format(reasons="\n".join(reasons)) if reasons else "",
        curves="\n\n".join(map(curve_table, curves)),
    )
    PAGE.write_text(text, encoding="utf-8")


# The picture ------------------------------------------------------------------------------------------

WIDTH, HEIGHT = 380, 240  # of one chart
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 46, 38  # around its plot


def picture(curves: Sequence[Curve]) -> str:
    """Charts side by side, two in a row, as SVG."""
    rows = math.ceil(len(curves) / 2)
    size = f'width="{2 * WIDTH}" height="{rows * HEIGHT}" viewBox="0 0 {2 * WIDTH} {rows * HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for at, curve in enumerate(curves):
        parts.append(f'<g transform="translate({at % 2 * WIDTH},{at // 2 * HEIGHT})">')
        parts += _chart(curve)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _chart(curve: Curve) -> Iterable[str]:
    """Sizes go to the right, each tenfold as far; figures go up from 0."""
    sizes = list(curve.figures)
    highest = max(value for of in curve.figures.values() for value in of.values()) * 1.15
    low, span = math.log10(sizes[0]), math.log10(sizes[-1] / sizes[0]) or 1
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(size: float) -> float:
        return LEFT + wide * (math.log10(size) - low) / span

    def y(value: float) -> float:
        return TOP + high * (1 - value / highest)

    yield f'<text x="{LEFT}" y="16" font-weight="bold">{curve.name}</text>'
    for part in range(4):
        value = highest * part / 3
        yield f'<path d="M{LEFT} {y(value):.1f}h{wide}" stroke="#e3e5e8"/>'
        yield f'<text x="{LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{number(value)}</text>'
    for size in sizes:
        yield f'<text x="{x(size):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{size:,}</text>'
    yield f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 6}" text-anchor="middle">{curve.size}</text>'
    for at, line in enumerate(curve.lines):
        points = [(x(size), y(of[line])) for size, of in curve.figures.items()]
        colour = COLOURS[at if len(curve.lines) > 1 else 1]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for left, top in points:
            yield f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3" fill="{colour}"/>'
        yield f'<rect x="{LEFT + at * 105}" y="24" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{LEFT + at * 105 + 14}" y="33">{line}</text>'
