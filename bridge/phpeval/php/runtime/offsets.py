"""Offsets of arrays, strings and objects: read, asked for."""

from __future__ import annotations

from bridge.phpeval.php.runtime.frame import MAX_STRING
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import (
    Thrown,
    float_to_int,
    is_numeric,
    number_prefix,
    to_bool,
    to_int,
    type_name,
    warn,
)
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value, array_key, plain_name


def array_offset(php: Interpreter, index: Value) -> int | bytes:
    """An array key as PHP makes it of a value; a fraction is cut off."""
    match index:
        case bytes():
            return array_key(index)
        case bool() | int():
            return int(index)
        case None:
            return b""
        case float():
            if not -(2.0**63) <= index < 2.0**63:
                php.refuse("a float beyond the integers as an array key")
            return float_to_int(index)
    raise Thrown("TypeError", "Illegal offset type")


def read_offset(php: Interpreter, holder: Value, index: Value, *, silent: bool = False) -> Value:
    """`$holder[$index]`; `silent` as `??` reads it."""
    if isinstance(holder, PhpArray):
        key = array_offset(php, index)
        if key in holder:
            return holder[key]
        if silent:
            return None
        raise warn(f'Undefined array key "{plain_name(key)}"')
    if isinstance(holder, bytes):
        return _character(php, holder, index, silent=silent)
    if isinstance(holder, PhpObject):
        require_array_access(php, holder)
        if silent and not has_offset(php, holder, index):
            return None
        return php.call_method(holder, "offsetGet", (index,))
    if silent and not isinstance(holder, EnumCase):
        return None
    if holder is None or isinstance(holder, bool | int | float):
        raise warn(f"Trying to access array offset on value of type {type_name(holder)}")
    raise Thrown("Error", f"Cannot use object of type {holder.class_name} as array")


def require_array_access(php: Interpreter, holder: PhpObject) -> None:
    """Throws an Error for an object that is known not to be an ArrayAccess."""
    name = holder.class_name
    plain = name in ("stdClass", "Closure", "Generator") or (
        php.environment.native(name) is None
        and php.declared(holder)
        and php.classes.is_a(name, "ArrayAccess") is False
    )
    if plain:
        raise Thrown("Error", f"Cannot use object of type {name} as array")


def has_offset(php: Interpreter, holder: PhpObject, index: Value) -> bool:
    """`isset($object[$index])`."""
    return to_bool(php.call_method(holder, "offsetExists", (index,)))


def _character(php: Interpreter, holder: bytes, index: Value, *, silent: bool) -> Value:
    if index is None or isinstance(index, bool | float):
        if silent:
            php.refuse("an offset of a string that is no integer")
        raise warn("String offset cast occurred")
    if isinstance(index, bytes) and is_numeric(index) and not isinstance(array_key(index), int):
        php.refuse("an offset of a string that is no integer")
    if not isinstance(index, int) and not (isinstance(index, bytes) and is_numeric(index)):
        if isinstance(index, bytes) and number_prefix(index)[1]:  # "5x": a warning, but not to isset()
            php.refuse("an offset of a string that is no integer")
        if silent:
            return None
        raise Thrown("TypeError", "Cannot access offset of this type on string")
    position = to_int(index)
    if -len(holder) <= position < len(holder):
        return holder[position : position + 1] or holder[position:]
    if silent:
        return None
    raise warn(f"Uninitialized string offset {position}")


def quiet_offset(php: Interpreter, holder: Value, offset: Value) -> Value:
    if isinstance(holder, bytes) and not isinstance(offset, int | bytes):
        php.refuse("an offset of a string that is no integer")
    return php.offset(holder, offset, silent=True)


def string_offset(php: Interpreter, offset: Value, *, new: bool = False) -> int:
    """The position in a string that is written to; `new`: `$text[]`."""
    if new:
        raise Thrown("Error", "[] operator not supported for strings")
    if isinstance(offset, bytes):
        key = array_key(offset)
        if isinstance(key, int):
            return key
        if not number_prefix(offset)[1]:
            raise Thrown("TypeError", "Cannot access offset of type string on string")
        php.refuse("an offset of a string that is no integer")
    if isinstance(offset, int) and not isinstance(offset, bool):
        return offset
    php.refuse("an offset of a string that is no integer")


def with_character(
    php: Interpreter, text: bytes, offset: Value, value: Value, *, new: bool = False
) -> tuple[bytes, bytes]:
    """`$text[$offset] = $value`: the text then, and the character."""
    position = string_offset(php, offset, new=new)
    if position < -len(text):
        raise warn(f"Illegal string offset {position}")
    character = php.text(value)
    if not character:
        raise Thrown("Error", "Cannot assign an empty string to a string offset")
    if len(character) > 1:
        raise warn("Only the first byte will be assigned to the string offset")
    position += len(text) if position < 0 else 0
    if position >= MAX_STRING:
        php.refuse("a string this long")
    return text[:position].ljust(position) + character + text[position + 1 :], character
