"""Generated programs by PHP and natively: the same, or refused; and not too many are refused.

`make oracle COUNT=20000` runs more of them, of every kind, and reduces what differs.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.oracle.generator import KINDS, NOT_YET, program
from tests.oracle.running import compare, peer

COUNT = int(os.environ.get("BRIDGE_ORACLE", "300"))
REFUSED_SHARE = 0.35  # at most; it falls as more is evaluated natively, and never rises
INVALID_SHARE = 0.25  # programs that PHP does not compile say nothing


@pytest.mark.timeout(1_800)
def test_generated_programs_give_what_php_gives_or_are_refused() -> None:
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for start in range(0, COUNT, 100):
        batch = [program(seed, without=NOT_YET) for seed in range(start, min(start + 100, COUNT))]
        for one in compare(batch, peer()):
            counts["invalid" if one.theirs.kind == "invalid" else one.ours.kind] += 1
            if one.differs:
                wrong.append(f"{one.program.text()}\nPHP:    {one.theirs}\nbridge: {one.ours}")
    assert not wrong, f"{len(wrong)} differ (python -m tests.oracle reduces them):\n" + "\n".join(wrong[:2])
    assert counts["invalid"] <= INVALID_SHARE * COUNT, counts
    assert counts["refused"] <= REFUSED_SHARE * (COUNT - counts["invalid"]), counts


def test_what_is_left_out_are_kinds_that_the_generator_knows() -> None:
    assert NOT_YET < KINDS
