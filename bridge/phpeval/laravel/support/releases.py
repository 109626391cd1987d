"""Since which release of Laravel methods and functions are there: what an older app calls, it has of its own.

A row is a name and the first release whose own class or helpers.php has it; `name/2`: that takes two
arguments, where older ones ignore the second. A method is written as Laravel writes it; a function, or a
method of models, in lower case, as it is looked up. What Laravel 8.0 has stands in no row. Where the
behaviour of a method has changed, the method itself asks for the release.

Source: all 392 minor releases of laravel/framework from 6.0 to 13.26, compared by their public methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.interpreter import Interpreter

OLDEST: Version = (8, 0)  # what was written down here holds from this release on

Rows = Mapping[str, Sequence[tuple[int, Version]]]  # name → (number of arguments, first release), growing


def _rows(text: str) -> Rows:
    found: dict[str, list[tuple[int, Version]]] = {}
    words = text.split()
    for name, release in zip(words[::2], words[1::2], strict=True):
        name, _, count = name.partition("/")
        major, minor = map(int, release.split("."))
        found.setdefault(name, []).append((int(count or 0), (major, minor)))
    return found


STR = _rows("""
    betweenFirst 9.2 contains/3 9.0 containsAll/3 9.0 headline 8.65 mask 8.69 remove 8.34 repeat 8.36
    replace 8.41 reverse 8.74 squish 9.7 substr/4 9.44 swap 8.83 ucsplit 8.81 wordCount 8.38
""")
STRINGABLE = _rows("""
    betweenFirst 9.2 classBasename 8.15 contains/2 9.33 containsAll/2 9.33 headline 8.65 isUuid 8.55
    jsonSerialize 8.25 mask 8.69 remove 8.34 repeat 8.36 reverse 8.74 squish 9.7 stripTags 8.83
    substr/3 9.44 swap 8.83 toString 9.0 ucsplit 8.82 value 9.0 wordCount 8.38
""")
ARR = _rows("isList 8.66 join 9.11 map 9.13 whereNotNull 8.75")
COLLECTION = _rows("""
    containsOneItem 8.30 doesntContain 8.77 firstOrFail 8.57 hasAny 8.64 toResourceCollection 12.7
""")
RESOURCE = _rows("""
    mergeUnless 9.24 unless 9.46 whenCounted 9.22 whenHas 9.46
    whenNotNull 9.7 whenNull 9.24
""")
# By the oldest Carbon that a release of Laravel allows.
CARBON = _rows("avoidMutation 9.0 toFormattedDayDateString 10.0")
MODEL = _rows("broadcastchannel 8.45 toresource 12.8")
FUNCTIONS = _rows(r"illuminate\support\enum_value 11.36 str 9.0 value/2 8.32")


def require(php: Interpreter, rows: Rows, name: str, count: int, what: str) -> None:
    """Raises Refused where the app's release does not have it, or not with so many arguments."""
    version: Version | None = getattr(php.environment, "version", None)
    if version is None:
        return
    if version < OLDEST:
        php.refuse(f"{what} before Laravel {OLDEST[0]}")
    for least, since in rows.get(name, ()):
        if count >= least and version < since:
            many = f" with {count} arguments" if least else ""
            php.refuse(f"{what}{many}, which Laravel has from {since[0]}.{since[1]} on,")
