"""What configuration holds: texts, numbers, truth and arrays as Python's, or what only PHP knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bridge.errors import Refused
from bridge.phpeval.php.runtime import operators
from bridge.phpeval.php.runtime import values as php

Value: TypeAlias = "str | int | float | bool | dict[int | str, Value] | Unknowable | None"
Array: TypeAlias = "dict[int | str, Value]"  # PHP's keys, in order


@dataclass(frozen=True, slots=True)
class Unknowable:
    """A value that only PHP knows: why, and where it stands (`line` from 1; 0 without one)."""

    reason: str
    file: str
    line: int = 0


def to_php(value: Value) -> php.Value:
    """The value as evaluated code holds it. Refused where it, or something in it, is not known."""
    match value:
        case Unknowable():
            raise Refused(f"a value of the configuration that only PHP could tell, {value.reason}")
        case str():
            return value.encode()
        case dict():
            return php.PhpArray((_key_to_php(key), to_php(one)) for key, one in value.items())
        case _:
            return value


def from_php(value: php.Value, file: str, line: int) -> Value:
    """The value that evaluated code gave there; Unknowable for objects and for bytes that are no text."""
    match value:
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return Unknowable("a text that is not UTF-8", file, line)
        case php.PhpArray():
            return {key_from_php(key): from_php(one, file, line) for key, one in value.items()}
        case None | bool() | int() | float():
            return value
        case _:
            return Unknowable("an object", file, line)


def key_from_php(key: int | bytes) -> int | str:
    return key if isinstance(key, int) else key.decode("utf-8", "surrogateescape")


def _key_to_php(key: int | str) -> int | bytes:
    return key if isinstance(key, int) else key.encode("utf-8", "surrogateescape")


def array_key(text: str) -> int | str:
    """The key that PHP makes of a text: decimal integers become int."""
    return key_from_php(php.array_key(text.encode()))


def to_string(value: Value) -> str:
    """PHP's `(string)`. ValueError for an array, Refused for what is not known."""
    if isinstance(value, dict):
        raise ValueError("an array has no text")
    return operators.to_string(to_php(value)).decode()


def to_int(value: Value) -> int:
    """PHP's `(int)`. Refused for what is not known."""
    return operators.to_int(to_php(value))
