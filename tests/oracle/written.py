"""Programs written by hand, in the style of events, models, resources and value objects of real apps.

In `written/*.txt` a line `// title` begins a program: classes, each from a line's beginning on, then after
`>> ` the body of broadcastWith(). After `>>* ` each entry of the array that it returns is a program of its
own, so that one that is refused hides no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.oracle.programs import Program, Written
from tests.oracle.reducing import entries

FOLDER = Path(__file__).with_name("written")
_CLASS = re.compile(r"^(?:(?:abstract|final|readonly) )*(?:class|interface|trait|enum) (\w+)", re.MULTILINE)


def written() -> Iterator[tuple[str, Program]]:
    """Title with file, and program."""
    for file in sorted(FOLDER.glob("*.txt")):
        for part in re.split(r"^// ", file.read_text(), flags=re.MULTILINE)[1:]:
            title, _, rest = part.partition("\n")
            classes, several, body = rest.partition(">>* ")
            if not several:
                yield f"{file.stem}: {title}", _program(*rest.split(">> ", 1))
                continue
            before, _, result = body.rpartition("return ")
            for number, entry in enumerate(entries(result.strip().removesuffix(";"))):
                yield f"{file.stem}: {title}, {number}", _program(classes, f"{before}return {entry};")


def _program(classes: str, body: str) -> Program:
    starts = [match.start() for match in _CLASS.finditer(classes)]
    pieces = [
        classes[start:end] for start, end in zip(starts, [*starts[1:], None][: len(starts)], strict=True)
    ]
    names = [match[1] for match in _CLASS.finditer(classes)]
    sent = f"class Sent {{ public function broadcastWith() {{ {body} }} }}"
    return Program(
        tuple(Written(name, piece) for name, piece in zip([*names, "Sent"], [*pieces, sent], strict=True))
    )
