"""Text from outside, made fit for a terminal: nothing in it moves the cursor or turns the writing around."""

from __future__ import annotations

import json
import re

# C1 controls, zero width, line separators, changes of direction, halves of characters
TRICKS = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_LINES = re.compile(f"[\x00-\x08\x0b-\x1f]|{TRICKS.pattern}")  # all but tab and line end
_LINE = re.compile(f"[\x00-\x1f]|{TRICKS.pattern}")


def plain(text: str, *, lines: bool = False) -> str:
    """The text with such characters written as `\\u001b`; `lines`: it may have several, and tabs."""
    return (_LINES if lines else _LINE).sub(_escape, text)


def json_line(value: object) -> str:
    """The value as one line of JSON that a person can read; the same value, whatever was escaped."""
    return TRICKS.sub(_escape, json.dumps(value, ensure_ascii=False))


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
