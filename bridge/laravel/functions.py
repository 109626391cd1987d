"""What configuration files may call and name: pure functions of PHP and Laravel, casts, constants.

One entry each; a name that is missing here makes an `Unknown`. A function gets the world and the values of
its arguments; TypeError or ValueError mean that bridge cannot tell.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bridge.laravel.coercion import Array, Value, as_array, known, next_key, slug, to_int, to_string, truth
from bridge.laravel.dotenv import convert


@dataclass(frozen=True, slots=True)
class World:
    """What the expressions of one app see: the root folder and the environment (`.env` beneath)."""

    base: str
    env: Mapping[str, str]

    def variable(self, name: str, default: Callable[[], Value]) -> Value:
        """Laravel's `env(name, default)`; the default is only worked out when it is needed."""
        return convert(self.env[name]) if name in self.env else default()


Function: TypeAlias = Callable[..., Value]


def merged(*arrays: Array) -> Array:
    """PHP's array_merge: elements without a key of their own are numbered anew."""
    result: Array = {}
    for array in arrays:
        for key, value in array.items():
            result[next_key(result) if isinstance(key, int) else key] = value
    return result


def _folder(name: str) -> Function:
    def path(world: World, below: Value = "") -> Value:
        base = f"{world.base}/{name}" if name else world.base
        if name == "storage":
            base = world.env.get("LARAVEL_STORAGE_PATH", base)
        rest = to_string(below)
        return f"{base}/{rest.lstrip('/')}" if rest else base

    return path


def _dirname(world: World, path: Value, levels: Value = 1) -> Value:
    result = to_string(path)
    for _ in range(to_int(levels)):
        result = os.path.dirname(result.rstrip("/")) or ("/" if result.startswith("/") else ".")
    return result


def _trim(strip: Callable[[str, str], str]) -> Function:
    def trim(world: World, text: Value, signs: Value = " \t\n\r\0\x0b") -> Value:
        if ".." in to_string(signs):
            raise ValueError("a range of characters")
        return strip(to_string(text), to_string(signs))

    return trim


def _driver_extension(name: str) -> bool:
    if not name.lower().startswith("pdo_"):
        raise ValueError("an extension that may be missing")
    return True


FUNCTIONS: dict[str, Function] = {
    "base_path": _folder(""),
    "app_path": _folder("app"),
    "config_path": _folder("config"),
    "database_path": _folder("database"),
    "public_path": _folder("public"),
    "resource_path": _folder("resources"),
    "storage_path": _folder("storage"),
    "dirname": _dirname,
    # Which one a connection needs is loaded in an app that uses it, and the others do not matter here
    "extension_loaded": lambda world, name: _driver_extension(to_string(name)),
    "getenv": lambda world, name: world.env.get(to_string(name), False),
    "array_filter": lambda world, array: {k: one for k, one in as_array(array).items() if truth(one)},
    "array_merge": lambda world, *arrays: merged(*map(as_array, arrays)),
    "array_values": lambda world, array: dict(enumerate(as_array(array).values())),
    "explode": lambda world, mark, text: dict(enumerate(to_string(text).split(to_string(mark)))),
    "implode": lambda world, mark, array: to_string(mark).join(map(to_string, as_array(array).values())),
    "trim": _trim(str.strip),
    "ltrim": _trim(str.lstrip),
    "rtrim": _trim(str.rstrip),
    "strtolower": lambda world, text: re.sub("[A-Z]+", lambda m: m[0].lower(), to_string(text)),
    "strtoupper": lambda world, text: re.sub("[a-z]+", lambda m: m[0].upper(), to_string(text)),
    "str::slug": lambda world, title, *rest: slug(to_string(title), *map(to_string, rest)),
    "str::lower": lambda world, text: to_string(text).lower(),
}

CASTS: dict[str, Callable[[Value], Value]] = {
    "bool": truth,
    "boolean": truth,
    "int": to_int,
    "integer": to_int,
    "string": to_string,
    "array": lambda value: value if isinstance(value, dict) else {} if value is None else {0: known(value)},
}

CONSTANTS: dict[str, Value] = {
    "PHP_EOL": "\n",
    "DIRECTORY_SEPARATOR": "/",
    "PHP_INT_MAX": 2**63 - 1,
}

# The numbers that mysqlnd, PHP's own MySQL library, gives to its options.
_MYSQL_OPTIONS = (
    "USE_BUFFERED_QUERY LOCAL_INFILE INIT_COMMAND COMPRESS DIRECT_QUERY FOUND_ROWS IGNORE_SPACE SSL_KEY "
    "SSL_CERT SSL_CA SSL_CAPATH SSL_CIPHER SERVER_PUBLIC_KEY MULTI_STATEMENTS SSL_VERIFY_SERVER_CERT"
)
_PDO_OPTIONS = {
    "ATTR_AUTOCOMMIT": 0, "ATTR_PREFETCH": 1, "ATTR_TIMEOUT": 2, "ATTR_ERRMODE": 3, "ATTR_CASE": 8,
    "ATTR_ORACLE_NULLS": 11, "ATTR_PERSISTENT": 12, "ATTR_STRINGIFY_FETCHES": 17,
    "ATTR_DEFAULT_FETCH_MODE": 19, "ATTR_EMULATE_PREPARES": 20,
    "ERRMODE_EXCEPTION": 2, "CASE_NATURAL": 0, "FETCH_ASSOC": 2, "FETCH_OBJ": 5,
}  # fmt: skip
CLASS_CONSTANTS: dict[str, Value] = {
    **{f"pdo::{name}": number for name, number in _PDO_OPTIONS.items()},
    **{f"pdo::MYSQL_ATTR_{name}": 1000 + n for n, name in enumerate(_MYSQL_OPTIONS.split())},
    **{f"pdo\\mysql::ATTR_{name}": 1000 + n for n, name in enumerate(_MYSQL_OPTIONS.split())},
}
MYSQL_SSL_CA = 1009
