"""`make oracle`: many generated programs, by PHP and by us; what differs is shown as small as it gets.

    python -m tests.oracle [--count N] [--seed S] [--php BINARY] [--shown K] [--reasons K] [--without KIND,…]

Exit code 0: none differs. Programs are numbered from the seed on: `--seed N --count 1` runs one again.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import Counter

from tests.oracle.generator import KINDS, program
from tests.oracle.reducing import reduced
from tests.oracle.running import compare, peer

BATCH = 500  # programs that one PHP process runs

_PLACE = re.compile(r" \(app/P\d+/\w+\.php:\d+\)|\bApp\\P\d+\\")  # of a program, in a reason of refusal


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.oracle")
    arguments.add_argument("--count", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=None, help="of the first program; else drawn")
    arguments.add_argument("--php", default="", help="PHP's program; else $PHP, else `php` in PATH")
    arguments.add_argument("--shown", type=int, default=5, help="how many that differ are reduced and shown")
    arguments.add_argument("--reasons", type=int, default=0, help="how many reasons of refusal are listed")
    arguments.add_argument("--without", default="", help=f"kinds left out, of {', '.join(sorted(KINDS))}")
    given = arguments.parse_args()
    without = set(given.without.split(",")) - {""}
    if unknown := without - KINDS:
        arguments.error(f"no such kind: {', '.join(sorted(unknown))}")
    first = random.randrange(10**9) if given.seed is None else given.seed
    asked = peer(given.php)
    print(
        f"{given.count} programs from seed {first} on, "
        f"PHP {'.'.join(map(str, asked.php))} with Laravel {'.'.join(map(str, asked.laravel))}",
        flush=True,
    )
    counts, reasons, different, shown = Counter[str](), Counter[str](), 0, set[str]()
    for start in range(first, first + given.count, BATCH):
        seeds = range(start, min(start + BATCH, first + given.count))
        batch = compare([program(seed, without=without) for seed in seeds], asked)
        for seed, one in zip(seeds, batch, strict=True):
            counts["invalid" if one.theirs.kind == "invalid" else one.ours.kind] += 1
            if one.theirs.kind != "invalid" and one.ours.kind == "refused":
                reasons[_PLACE.sub("", str(one.ours.content))] += 1
            different += one.differs
            if one.differs and len(shown) < given.shown:
                small = reduced(one, asked)
                text = small.program.text()
                if text not in shown:
                    shown.add(text)
                    kinds = ", ".join(sorted(one.program.kinds)) or "plain"
                    print(
                        f"\nseed {seed} ({kinds})\n{text}\nPHP:    {small.theirs}\nbridge: {small.ours}",
                        flush=True,
                    )
    valid = sum(counts.values()) - counts["invalid"]
    print(
        f"\n{different} different of {valid}; refused {counts['refused']} "
        f"({100 * counts['refused'] / max(1, valid):.1f} %); not PHP: {counts['invalid']}"
    )
    for reason, times in reasons.most_common(given.reasons):
        print(f"{times:6} {reason}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
