"""Conversions and comparisons that may ask objects: text, order, what foreach goes through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from bridge.phpeval.php.runtime import operators
from bridge.phpeval.php.runtime.frame import PhpClosure
from bridge.phpeval.php.runtime.generators import PhpGenerator
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import BINARY, Thrown, to_bool, to_string, type_name, warn
from bridge.phpeval.php.runtime.properties import visible_properties
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value, array_key


def text(php: Interpreter, value: Value) -> bytes:
    """`(string) $value`, `__toString` included."""
    if type(value) is bytes:
        return value
    if isinstance(value, PhpObject) and not _is_textless(php, value):
        return to_string(php.call_method(value, "__toString"))
    return to_string(value)


def _is_textless(php: Interpreter, value: PhpObject) -> bool:
    """Whether the class is known to have no `__toString`."""
    known = php.declared(value) and php.environment.native(value.class_name) is None
    return known and php.classes.method(value.class_name, "__toString") is None


def operate(php: Interpreter, operator: str, left: Value, right: Value) -> Value:
    """A binary operator on two values that are at hand."""
    if isinstance(left, PhpObject | PhpArray) or isinstance(right, PhpObject | PhpArray):
        if php.comparisons is None:
            php.comparisons = operators.comparisons(partial(_compare_objects, php))
        compares = php.comparisons.get(operator)
        if compares is not None:
            return compares(left, right)
    return BINARY[operator](left, right)


def equal(php: Interpreter, left: Value, right: Value) -> bool:
    """`==`."""
    return operators.equal(left, right, partial(_compare_objects, php))


def compare(php: Interpreter, left: Value, right: Value) -> int:
    """`<=>`; see `operators.compare`."""
    return operators.compare(left, right, partial(_compare_objects, php))


def _compare_objects(php: Interpreter, left: Value, right: Value, equality: bool) -> int:
    """Of an object and another one, a string or an array: by properties, by `__toString`, or unequal."""
    if isinstance(left, bytes):
        order = _compare_objects(php, right, left, equality)
        return -order if order in (-1, 1) else order
    if isinstance(left, PhpArray):
        return -1
    if isinstance(right, PhpArray):
        return 1
    if isinstance(left, PhpObject) and isinstance(right, bytes):
        if _is_textless(php, left):
            return 1
        return operators.compare(text(php, left), right)
    if not (isinstance(left, PhpObject) and isinstance(right, PhpObject)):
        php.refuse("a comparison of an object with this")
    compare_own = getattr(php.environment.native(left.class_name), "compares", None)
    known: int | None = None if compare_own is None else compare_own(php, left, right)
    if known is not None:
        return known
    _require_comparable(php, left)
    _require_comparable(php, right)
    if left.class_name != right.class_name:
        return 1
    php.charge(1 + len(left.properties))
    own, others = PhpArray(left.properties), PhpArray(right.properties)
    return int(not equal(php, own, others)) if equality else compare(php, own, others)


def _require_comparable(php: Interpreter, value: PhpObject) -> None:
    """Raises Refused where an object holds more, or compares otherwise, than its properties show."""
    if value.class_name == "stdClass":
        return
    native = php.environment.native(value.class_name)
    if isinstance(value, PhpClosure) or native is not None or not php.is_complete(value.class_name):
        php.refuse(f"a comparison of {value.class_name} by its properties")


_NOT_UNPACKED = "Only arrays and Traversables can be unpacked"


def pairs(php: Interpreter, value: Value) -> Iterable[tuple[Value, Value]]:
    """Key and value of each turn of a foreach; of an array as it is now, of other objects one by one."""
    if isinstance(value, PhpObject):
        found = entries(php, value)
        if found is not None:
            return found
    return [*php.iterable(value).items()]


def unpacked(php: Interpreter, value: Value, *, argument: bool = False) -> Iterable[tuple[Value, Value]]:
    """What `...$value` stands for, in an array or as arguments."""
    if isinstance(value, PhpArray):
        return value.items()
    if isinstance(value, PhpObject) and php.environment.native(value.class_name) is None:
        known = value.class_name == "stdClass" or php.is_complete(value.class_name)
        traversable = value.class_name != "stdClass" and php.classes.is_a(value.class_name, "Traversable")
        if known and traversable is False:
            raise Thrown("TypeError", _NOT_UNPACKED)
    elif not isinstance(value, PhpObject):
        raise Thrown("TypeError" if argument or isinstance(value, EnumCase) else "Error", _NOT_UNPACKED)
    return pairs(php, value)


def iterable(php: Interpreter, value: Value) -> PhpArray:
    """The entries that foreach would go through, keys of an iterator that are no array keys refused."""
    if isinstance(value, PhpArray):
        return value
    if isinstance(value, PhpObject):
        native = php.environment.native(value.class_name)
        if native is not None:
            items = native.call(php, value, "all", ())
            if isinstance(items, PhpArray):
                return items
        found = None if native is not None else entries(php, value)
        if found is not None:
            result = PhpArray()
            for key, item in found:
                if type(key) is not int and not isinstance(key, bytes):
                    php.refuse("an iterator with keys of this kind")
                result[php.key(key)] = item
                php.charge(1)
            return result
        php.refuse(f"a loop over an object of class {value.class_name}")
    raise warn(f"foreach() argument must be of type array|object, {type_name(value)} given")


def entries(php: Interpreter, value: PhpObject) -> Iterator[tuple[Value, Value]] | None:
    """What foreach gets from an object of an app's class, one by one; None where that is not known."""
    if isinstance(value, PhpGenerator):
        return value.entries(php)
    name = value.class_name
    if php.environment.native(name) is not None or not (name == "stdClass" or php.is_complete(name)):
        return None
    if name != "stdClass":
        if php.classes.is_a(name, "Iterator"):
            return _iterated(php, value)
        if php.classes.is_a(name, "IteratorAggregate"):
            inner = php.call_method(value, "getIterator")
            if isinstance(inner, PhpObject) and inner.class_name != "stdClass":
                return entries(php, inner) or iter([*php.iterable(inner).items()])
            php.refuse(f"what getIterator() of {name} gives")
        if php.classes.is_a(name, "Traversable") is not False or isinstance(value, PhpClosure):
            return None
    # Names stay strings, also those that would be integers as keys of an array.
    return iter(
        [
            (str(name).encode() if isinstance(name, int) else name, held)
            for name, held in visible_properties(php, value).items()
        ]
    )


def _iterated(php: Interpreter, value: PhpObject) -> Iterator[tuple[Value, Value]]:
    php.call_method(value, "rewind")
    while to_bool(php.call_method(value, "valid")):
        item = php.call_method(value, "current")
        yield php.call_method(value, "key"), item
        php.call_method(value, "next")


def to_array(php: Interpreter, value: Value) -> PhpArray:
    """`(array) $value`."""
    if isinstance(value, PhpArray):
        return value
    if value is None:
        return PhpArray()
    if isinstance(value, PhpObject | EnumCase):
        if value.class_name != "stdClass" or isinstance(value, EnumCase):
            php.refuse("the cast of an object to an array")
        php.copies += 1
        return PhpArray((array_key(k) if isinstance(k, bytes) else k, v) for k, v in value.properties.items())
    return PhpArray.of([value])


def to_object(php: Interpreter, value: Value) -> Value:
    if isinstance(value, PhpObject):
        return value
    if isinstance(value, PhpArray):
        entries: dict[int | bytes, Value] = {
            str(k).encode() if isinstance(k, int) else k: v for k, v in value.items()
        }
        return PhpObject("stdClass", entries)
    return PhpObject("stdClass", {} if value is None else {b"scalar": value})
