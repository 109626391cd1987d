# ruff: noqa: E501 (a signature is one line, as in the manual)
"""Digests, and texts written as other texts: hex, base64, URLs, HTML."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import zlib
from urllib.parse import quote_from_bytes, unquote_to_bytes

from bridge.phpeval.php.functions.signature import check_length, table
from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.operators import to_string, warn
from bridge.phpeval.php.runtime.values import PhpArray, Value

_ALGORITHMS = {"md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3-256", "sha3-512"}


def _digest(php: Interpreter, algorithm: bytes, data: bytes, binary: bool) -> bytes:
    name = algorithm.decode("latin-1").lower()
    if name == "crc32b":
        digest = zlib.crc32(data).to_bytes(4, "big")
    elif name in _ALGORITHMS:
        digest = hashlib.new(name.replace("sha3-", "sha3_"), data).digest()
    else:
        php.refuse(f"the hash algorithm {name}")
    return digest if binary else digest.hex().encode()


def _hash(
    php: Interpreter, algo: bytes, data: bytes, binary: bool = False, options: PhpArray | None = None
) -> bytes:
    if options:
        php.refuse("hash() with options")
    return _digest(php, algo, data, binary)


def _hash_hmac(php: Interpreter, algo: bytes, data: bytes, key: bytes, binary: bool = False) -> bytes:
    name = algo.decode("latin-1").lower()
    if name not in _ALGORITHMS:
        php.refuse(f"the hash algorithm {name}")
    digest = hmac.new(key, data, name.replace("sha3-", "sha3_")).digest()
    return digest if binary else digest.hex().encode()


def _hex2bin(string: bytes) -> bytes:
    if len(string) % 2:
        raise warn("hex2bin(): Hexadecimal input string must have an even length")
    try:
        return binascii.unhexlify(string)
    except binascii.Error:
        raise warn("hex2bin(): Input string must be hexadecimal string") from None


def _base64_decode(php: Interpreter, string: bytes, strict: bool = False) -> Value:
    """Well-formed base64 only; what PHP makes of other text is not tried."""
    try:
        return base64.b64decode(string + b"=" * (-len(string) % 4), validate=True)
    except binascii.Error:
        php.refuse("base64_decode() of this text")


def _urlencode(string: bytes) -> bytes:
    return quote_from_bytes(string, safe=" ").replace(" ", "+").replace("~", "%7E").encode()


def _rawurlencode(string: bytes) -> bytes:
    return quote_from_bytes(string, safe="").encode()


def _http_build_query(
    php: Interpreter,
    data: Value,
    numeric_prefix: bytes = b"",
    arg_separator: bytes | None = None,
    encoding_type: int = 1,
) -> bytes:
    if not isinstance(data, PhpArray) or encoding_type not in (1, 2):
        php.refuse("this form of http_build_query()")
    encode = _urlencode if encoding_type == 1 else _rawurlencode
    parts: list[bytes] = []

    def write(entries: PhpArray, prefix: bytes, depth: int) -> None:
        if depth > 50:
            php.refuse("http_build_query() of arrays this deep")
        for key, value in entries.items():
            name = encode(to_string(key))
            if prefix:
                name = prefix + b"%5B" + name + b"%5D"
            elif isinstance(key, int):
                name = encode(numeric_prefix) + name
            match value:
                case None:
                    continue
                case PhpArray():
                    write(value, name, depth + 1)
                case bool():
                    parts.append(name + b"=" + (b"1" if value else b"0"))
                case int() | float() | bytes():
                    parts.append(name + b"=" + encode(to_string(value)))
                case _:
                    php.refuse("http_build_query() of objects")

    write(data, b"", 0)
    return (arg_separator if arg_separator is not None else b"&").join(parts)


_ENT_COMPAT, _ENT_QUOTES, _ENT_SUBSTITUTE, _ENT_HTML401 = 2, 3, 8, 0
_DEFAULT_FLAGS = _ENT_QUOTES | _ENT_SUBSTITUTE | _ENT_HTML401
_ENTITY = re.compile(rb"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")


def _check_html(php: Interpreter, flags: int, encoding: bytes | None) -> None:
    if flags & ~(_ENT_QUOTES | _ENT_SUBSTITUTE) or (encoding and encoding.lower() not in (b"utf-8", b"utf8")):
        php.refuse("these flags or this encoding of HTML")


def _html_flags(php: Interpreter, given: int | None, quotes: bool) -> int:
    """The flags; their default spares single quotes before PHP 8.1."""
    if given is not None:
        return given
    return _ENT_COMPAT if quotes and php.before(8, 1) else _DEFAULT_FLAGS


def _htmlspecialchars(
    php: Interpreter,
    string: bytes,
    flags: int | None = None,
    encoding: bytes | None = None,
    double_encode: bool = True,
) -> bytes:
    flags = _html_flags(php, flags, b"'" in string)
    _check_html(php, flags, encoding)
    try:
        string.decode()
    except UnicodeDecodeError:
        php.refuse("htmlspecialchars() of bytes that are not UTF-8")
    if not double_encode and b"&" in string:
        php.refuse("htmlspecialchars() that spares entities")
    check_length(php, len(string) * 6)
    text = string.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
    if flags & _ENT_COMPAT:
        text = text.replace(b'"', b"&quot;")
    if flags & _ENT_QUOTES == _ENT_QUOTES:
        text = text.replace(b"'", b"&#039;")
    return text


def _htmlspecialchars_decode(php: Interpreter, string: bytes, flags: int | None = None) -> bytes:
    flags = _html_flags(php, flags, b"&#0" in string or b"&#3" in string)
    _check_html(php, flags, None)
    known = {b"&amp;": b"&", b"&lt;": b"<", b"&gt;": b">"}
    if flags & _ENT_COMPAT:
        known[b"&quot;"] = b'"'
    if flags & _ENT_QUOTES == _ENT_QUOTES:
        known |= {b"&#039;": b"'", b"&#39;": b"'"}

    def decode(match: re.Match[bytes]) -> bytes:
        entity = match[0]
        if entity[1:2] == b"#" and entity not in (b"&#039;", b"&#39;"):
            php.refuse("htmlspecialchars_decode() of numbered entities")
        return known.get(entity, entity)

    return _ENTITY.sub(decode, string)


FUNCTIONS = table({
    "md5(string $string, bool $binary = false)": lambda php, string, binary=False: _digest(php, b"md5", string, binary),
    "sha1(string $string, bool $binary = false)": lambda php, string, binary=False: _digest(php, b"sha1", string, binary),
    "crc32(string $string)": lambda string: zlib.crc32(string),
    "hash(string $algo, string $data, bool $binary = false, array $options = [])": _hash,
    "hash_hmac(string $algo, string $data, string $key, bool $binary = false)": _hash_hmac,
    "bin2hex(string $string)": lambda string: string.hex().encode(),
    "hex2bin(string $string)": _hex2bin,
    "base64_encode(string $string)": lambda string: base64.b64encode(string),
    "base64_decode(string $string, bool $strict = false)": _base64_decode,
    "urlencode(string $string)": _urlencode,
    "rawurlencode(string $string)": _rawurlencode,
    "urldecode(string $string)": lambda string: unquote_to_bytes(string.replace(b"+", b" ")),
    "rawurldecode(string $string)": lambda string: unquote_to_bytes(string),
    "http_build_query(array|object $data, string $numeric_prefix = '', ?string $arg_separator = null, int $encoding_type = 1)": _http_build_query,
    "htmlspecialchars(string $string, int $flags = 11, ?string $encoding = null, bool $double_encode = true)": _htmlspecialchars,
    "htmlspecialchars_decode(string $string, int $flags = 11)": _htmlspecialchars_decode,
})  # fmt: skip
