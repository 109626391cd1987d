"""SUPPORTED.md is what the tables say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.jobs.resolve.survey.supported import LEFT_TO_PHP, WIDTH, supported

FILE = Path(__file__).parents[4] / "SUPPORTED.md"


def test_the_list_is_the_generated_one() -> None:
    assert FILE.read_text(encoding="utf-8") == supported(), (
        "write it anew: python -m bridge.jobs.resolve.survey.supported > SUPPORTED.md"
    )


@pytest.mark.parametrize(
    "name",
    [
        "number_format",
        "sprintf",
        "match",
        "foreach",
        "config",
        "pluck",
        "toIso8601String",
        "BelongsTo",
        "decimal",
    ],
)
def test_it_names_what_real_events_use(name: str) -> None:
    assert f"`{name}`" in supported()


@pytest.mark.parametrize("name", [name for _, names in LEFT_TO_PHP for name in names])
def test_what_is_left_to_php_is_not_among_what_is_native(name: str) -> None:
    left, native = supported().split("## PHP: syntax")
    assert f"`{name}`" in left or f"`{name}()`" in left
    assert not re.search(
        rf"`{re.escape(name)}`",
        native.split("## Laravel: classes")[0] + native.split("## Models: relations")[1],
    )


def test_aliases_share_the_table_of_their_class() -> None:
    section = supported().split("`Arr`, `Illuminate\\Support\\Arr`\n\n", 1)[1].split("\n\n", 1)[0]
    assert section.startswith("- static: ")
    assert "`pluck`" in section


def test_its_lines_are_no_longer_than_the_source_s() -> None:
    assert max(len(line) for line in supported().splitlines()) <= WIDTH
