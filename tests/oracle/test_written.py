"""Programs written by hand by PHP and natively: the same, or refused."""

from __future__ import annotations

import pytest

from tests.oracle.running import compare, peer
from tests.oracle.written import written

REFUSED_SHARE = 0.2  # at most; it falls as more is evaluated natively


@pytest.mark.timeout(1_800)
def test_written_programs_give_what_php_gives_or_are_refused() -> None:
    titles, programs = zip(*written(), strict=True)
    compared = compare(programs, peer())
    wrong = [
        f"{title}\nPHP:    {one.theirs}\nbridge: {one.ours}"
        for title, one in zip(titles, compared, strict=True)
        if one.differs
    ]
    assert not wrong, "\n".join(wrong)
    refused = sum(one.ours.kind == "refused" for one in compared)
    assert refused <= REFUSED_SHARE * len(compared)


def test_titles_are_unique() -> None:
    titles = [title for title, _ in written()]
    assert len(titles) == len(set(titles))
