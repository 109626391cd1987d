"""docs/infrastructure.md says what the tests of this folder show, and no more."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.jobs.queue.redis.rights import RIGHTS

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs/infrastructure.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| what", "| ---"))
]


def test_every_row_is_shown_by_a_test_and_every_test_by_a_row() -> None:
    named = {name for *_, shown in ROWS for name in re.findall(r"`(test_\w+\.py)`", shown)}
    assert named == {file.name for file in HERE.glob("test_*.py")} - {Path(__file__).name}
    assert all(len(row) == 3 for row in ROWS)


def test_every_row_is_supported_or_refused_and_its_test_refuses_where_it_says_so() -> None:
    for _, how, shown in ROWS:
        assert how.startswith(("supported", "refused"))
        if how.startswith("refused"):
            assert ": " in how  # with a remedy
            assert "ConfigurationError" in (HERE / shown.strip("`")).read_text(encoding="utf-8")


def test_the_rights_of_a_redis_user_are_those_that_suffice() -> None:
    (line,) = re.findall(r"^ACL SETUSER .*$", PAGE, re.MULTILINE)
    assert [word[1:] for word in line.split() if word.startswith("+")] == list(RIGHTS)
