"""json_encode and json_decode."""

from __future__ import annotations

import re

from bridge.errors import WouldFail
from bridge.phpeval.php.functions.signature import check_length, require_php, table, value_error
from bridge.phpeval.php.runtime.interpreter import Frame, Interpreter, PhpClosure
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.phpeval.php.runtime.properties import visible_properties
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.json_decode import NotJson, read_json
from bridge.phpeval.php.serialization.json_encode import json_encode

HEX_TAG, HEX_AMP, HEX_APOS, HEX_QUOT = 1, 2, 4, 8
UNESCAPED_SLASHES, PRETTY_PRINT, UNESCAPED_UNICODE, THROW = 64, 128, 256, 4194304
OBJECT_AS_ARRAY, BIGINT_AS_STRING = 1, 2
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_KNOWN = (
    HEX_TAG | HEX_AMP | HEX_APOS | HEX_QUOT | UNESCAPED_SLASHES | PRETTY_PRINT | UNESCAPED_UNICODE | THROW
)

_ESCAPE = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|\\u([0-9a-f]{4})|\\(.)|([<>&'])")
_HEX = {"<": HEX_TAG, ">": HEX_TAG, "&": HEX_AMP, "'": HEX_APOS}


def _encode(php: Interpreter, value: Value, flags: int = 0, depth: int = 512) -> Value:
    if flags & ~_KNOWN or depth != 512:
        php.refuse("these flags of json_encode()")

    def jsonable(held: PhpObject | EnumCase) -> Value:
        if isinstance(held, EnumCase):
            if php.is_a(held, "JsonSerializable"):
                return php.call(PhpArray.of((held, b"jsonSerialize")), ())
            backing = php.backing_value(held)
            if backing is None:
                raise Thrown(
                    "JsonException" if flags & THROW else "", "Non-backed enums have no default serialization"
                )
            return backing
        name = held.class_name
        if isinstance(held, PhpClosure):
            return PhpObject("stdClass")
        if php.environment.native(name) is not None or not php.is_complete(name):
            convert = getattr(php.environment, "jsonable", None)
            if convert is None:
                php.refuse(f"json_encode() of {name}")
            return convert(held, php)  # type: ignore[no-any-return]
        if php.is_a(held, "JsonSerializable"):
            return php.call_method(held, "jsonSerialize")
        own = php.inside(Frame(php.frame.file), lambda _: visible_properties(php, held))
        return PhpObject("stdClass", {**own})  # type: ignore[dict-item]

    try:
        text = json_encode(value, jsonable)
    except Thrown as thrown:
        if thrown.exception.class_name:
            raise
        return False
    except WouldFail as failure:
        if flags & THROW:
            raise Thrown("JsonException", str(failure)) from failure
        return False
    check_length(php, len(text))
    if flags & ~THROW:
        text = _written(text, flags)
    return text.encode()


def _written(text: str, flags: int) -> str:
    """Default JSON text as the flags want it."""

    def character(match: re.Match[str]) -> str:
        high, low, code, escaped, raw = match.groups()
        if raw is not None:
            return f"\\u00{ord(raw):02X}" if flags & _HEX[raw] else raw
        if escaped is not None:
            if escaped == "/" and flags & UNESCAPED_SLASHES:
                return "/"
            if escaped == '"' and flags & HEX_QUOT:
                return "\\u0022"
            return match[0]
        if not flags & UNESCAPED_UNICODE:
            return match[0]
        if high is not None:
            return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
        number = int(code, 16)
        return match[0] if number < 0x20 or number in (0x2028, 0x2029) else chr(number)

    pieces: list[str] = []
    indent = 0
    position = 0
    pretty = flags & PRETTY_PRINT

    for match in _STRING.finditer(text):
        indent = _structure(text[position : match.start()], pieces, indent, bool(pretty))
        pieces.append('"' + _ESCAPE.sub(character, match[0][1:-1]) + '"')
        position = match.end()
    _structure(text[position:], pieces, indent, bool(pretty))
    return "".join(pieces)


def _structure(text: str, pieces: list[str], indent: int, pretty: bool) -> int:
    """What stands between strings, with line breaks; gives the indentation after it."""
    if not pretty:
        pieces.append(text)
        return indent
    for character in text.replace("{}", "\0").replace("[]", "\1"):
        match character:
            case "{" | "[":
                indent += 1
                pieces.append(character + "\n" + "    " * indent)
            case "}" | "]":
                indent -= 1
                pieces.append("\n" + "    " * indent + character)
            case ",":
                pieces.append(",\n" + "    " * indent)
            case ":":
                pieces.append(": ")
            case "\0":
                pieces.append("{}")
            case "\1":
                pieces.append("[]")
            case _:
                pieces.append(character)
    return indent


def _decode(
    php: Interpreter, json_: bytes, associative: bool | None = None, depth: int = 512, flags: int = 0
) -> Value:
    if flags & ~(OBJECT_AS_ARRAY | BIGINT_AS_STRING | THROW):
        php.refuse("these flags of json_decode()")
    if depth < 1:
        value_error("json_decode", 3, "depth", "must be greater than 0")
    arrays = associative if associative is not None else bool(flags & OBJECT_AS_ARRAY)
    php.charge(len(json_) // 32)
    try:
        return read_json(
            json_, objects=not arrays, depth=min(depth, 512), big_as_text=bool(flags & BIGINT_AS_STRING)
        )
    except NotJson as error:
        if depth > 512:
            php.refuse("json_decode() this deep")
        if flags & THROW:
            raise Thrown("JsonException", "Syntax error") from error
        return None


def _validate(php: Interpreter, json: bytes, depth: int = 512, flags: int = 0) -> bool:
    require_php(php, 8, 3, "json_validate")
    if flags or depth != 512:
        php.refuse("these arguments of json_validate()")
    php.charge(len(json) // 32)
    try:
        read_json(json, objects=True, depth=depth, big_as_text=False)
    except NotJson:
        return False
    return True


FUNCTIONS = table(
    {
        "json_validate(string $json, int $depth = 512, int $flags = 0)": _validate,
        "json_encode(mixed $value, int $flags = 0, int $depth = 512)": _encode,
        "json_decode(string $json, ?bool $associative = null, int $depth = 512, int $flags = 0)": _decode,
    }
)
