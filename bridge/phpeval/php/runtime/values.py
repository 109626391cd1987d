"""PHP's values as Python sees them, and the rules that turn one kind into another.

    PHP        Python
    null       None
    bool       bool
    int        int (64 bits, signed)
    float      float
    string     bytes (PHP's strings are bytes; they need not be UTF-8)
    array      PhpArray, a dict in PHP's order with keys int | bytes
    object     PhpObject, compared by identity
    enum case  EnumCase, compared by value

Nothing here ever runs or instantiates PHP code.
"""

from __future__ import annotations

import re
import weakref
from dataclasses import dataclass
from typing import Any, TypeAlias

from bridge.errors import Refused

INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1

_DIGITS = frozenset(bytes([byte]) for byte in b"-0123456789")
_INTEGER_KEY = re.compile(rb"(?:0|-?[1-9][0-9]{0,18})\Z")


class PhpArray(dict[int | bytes, "Value"]):
    """An ordered map. Many may hold the same one: whoever changes one that others may hold copies it
    first (`copy`)."""

    __slots__ = ("next_index", "referred")

    referred: list[weakref.ref[Any]]  # the references to elements, as far as there are any
    next_index: int  # the key `[]=` uses; worked out when it is first wanted, and kept up from then on

    @classmethod
    def of(cls, values: object) -> PhpArray:
        """A list (keys 0, 1, …) of the values of an iterable."""
        return cls(enumerate(values))  # type: ignore[arg-type]

    def __setitem__(self, key: int | bytes, value: Value) -> None:
        dict.__setitem__(self, key, value)
        if type(key) is int and key >= getattr(self, "next_index", key + 1):
            self.next_index = key + 1

    def append(self, value: Value) -> None:
        """Appends, as `$array[] = $value`: the key is one above the highest integer key there ever was."""
        index = self.next_key()
        if index > INT_MAX:
            raise Refused("an element after the largest key of an array")
        dict.__setitem__(self, index, value)
        self.next_index = index + 1

    def next_key(self) -> int:
        """The key that `append` would use now."""
        known: int | None = getattr(self, "next_index", None)
        if known is None:
            highest = max((key for key in self if type(key) is int), default=-1)
            if highest < -1:
                raise Refused("the key after a negative one, in which PHP's releases differ,")
            known = self.next_index = highest + 1
        return known

    def refer(self, reference: object) -> None:
        """Makes that a reference to an element."""
        others = [one for one in getattr(self, "referred", ()) if one() is not None]
        self.referred = [*others, weakref.ref(reference)]

    def is_referred(self, reference: object = None) -> bool:
        """Whether there is a reference to an element; that one, if given."""
        held = [one() for one in getattr(self, "referred", ())]
        return any(one is not None and reference in (None, one) for one in held)

    def copy(self) -> PhpArray:
        """A shallow copy, as an assignment makes. PHP would share an element between both that there is a
        reference to."""
        if getattr(self, "referred", None) and self.is_referred():
            raise Refused("a copy of an array while there is a reference to an element of it")
        twin = PhpArray(self)
        index: int | None = getattr(self, "next_index", None)
        if index is not None:
            twin.next_index = index
        return twin

    @property
    def is_list(self) -> bool:
        """Whether the keys are exactly 0 … n-1 in this order (`array_is_list`; decides `[…]` in JSON)."""
        # most maps differ from lists in their first key; the rest is compared in C
        return not self or (next(iter(self)) == 0 and [*self] == [*range(len(self))])


class PhpObject:
    """An object: its class's name and its properties under their mangled names.

    Mangled as in serialize(): `name` public, NUL `*` NUL `name` protected, NUL `Class` NUL `name` private.
    A class with `__serialize` may have integer keys. `class_name` has no leading backslash.
    """

    __slots__ = ("class_name", "properties")

    def __init__(self, class_name: str, properties: dict[int | bytes, Value] | None = None) -> None:
        self.class_name = class_name
        self.properties: dict[int | bytes, Value] = {} if properties is None else properties

    def __repr__(self) -> str:
        return f"<PhpObject {self.class_name}>"

    def get(self, name: str, default: Value = None) -> Value:
        """The property of that plain name, whatever its visibility (private ones of this class only)."""
        plain = name.encode()
        properties = self.properties
        if plain in properties:
            return properties[plain]
        for mangled in (b"\0*\0" + plain, b"\0" + self.class_name.encode() + b"\0" + plain):
            if mangled in properties:
                return properties[mangled]
        return default

    def has(self, name: str) -> bool:
        """Whether `get` would find a property (a null one counts)."""
        return self.get(name, _MISSING) is not _MISSING


@dataclass(frozen=True, slots=True)
class EnumCase:
    """`E:`: a case by name; its backing value stands in the source only."""

    class_name: str
    case: str


@dataclass(frozen=True, slots=True, eq=False)
class CustomSerialized:
    """`C:`: a Serializable object whose text only its own class can read."""

    class_name: str
    text: bytes


Value: TypeAlias = "bool | int | float | bytes | PhpArray | PhpObject | EnumCase | CustomSerialized | None"

_MISSING = PhpObject("")


def array_key(key: bytes) -> int | bytes:
    """A string key as an array holds it: decimal integers of 64 bits become int (`"7"` → 7, not `"07"`)."""
    if key[:1] in _DIGITS and _INTEGER_KEY.match(key):
        number = int(key)
        if INT_MIN <= number <= INT_MAX:
            return number
    return key


def plain_name(mangled: int | bytes) -> str:
    """The property name without the mark of its visibility."""
    if isinstance(mangled, int):
        return str(mangled)
    return mangled.rsplit(b"\0", 1)[-1].decode("utf-8", "surrogateescape")


PRECISION = 14  # php.ini `precision`: digits of a float that becomes a string


def float_text(number: float, *, exponent: str = "E", precision: int | None = None) -> str:
    """The shortest text that reads back as the same float, or one of `precision` digits, in PHP's form.

    serialize and json_encode (`exponent` "e") write the shortest (serialize_precision -1), string casts and
    echo `PRECISION` digits. Not for INF and NAN. Source: main/snprintf.c php_gcvt; tested against PHP 8.2.
    """
    if precision is None and "e" not in (text := repr(number)):
        return text.removesuffix(".0")  # Python writes without an exponent in a smaller range than PHP
    if number == 0:
        return "-0" if str(number)[0] == "-" else "0"
    sign = "-" if number < 0 else ""
    written = repr(abs(number)) if precision is None else f"{abs(number):.{precision - 1}e}"
    mantissa, _, power = written.partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    # digits d1d2d3… and the place of the point counted from d1
    point = len(whole) + int(power or 0)
    digits = whole + fraction
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    if point > (precision or 17) or point < -3:
        tail = digits[1:] or "0"
        return f"{sign}{digits[0]}.{tail}{exponent}{point - 1:+d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return f"{sign}{digits}{'0' * (point - len(digits))}"
    return f"{sign}{digits[:point]}.{digits[point:]}"
