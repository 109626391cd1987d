"""What a file of `config/` returns: evaluated as the app's other code is, key by key.

What bridge does not know makes an `Unknowable`, and only at the array key where it stands, so that one
closure or unknown function does not hide the rest of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tree_sitter import Node as Tree

from bridge.errors import Refused
from bridge.laravel.config_values import Unknowable, Value, from_php, key_from_php, to_php
from bridge.laravel.dotenv import convert
from bridge.phpeval.laravel.support import arr
from bridge.phpeval.laravel.support.arr import ARR_CLASSES
from bridge.phpeval.laravel.support.native_class import Act, NativeClass, run, text
from bridge.phpeval.laravel.support.str import STR_CLASSES
from bridge.phpeval.php import functions
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.functions.signature import table
from bridge.phpeval.php.parse import declarations
from bridge.phpeval.php.parse.declarations import PhpLowerer
from bridge.phpeval.php.parse.tree import Scope, children_of, line_of, parse, text_of
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.interpreter import (
    Environment,
    Frame,
    Function,
    Interpreter,
    Native,
    ReferenceFunction,
)
from bridge.phpeval.php.runtime.operators import Thrown, to_string
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject
from bridge.phpeval.php.runtime.values import Value as PhpValue

ENV = "Illuminate\\Support\\Env"
STR = "Illuminate\\Support\\Str"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an app stands: its root folder, and the environment (`.env` beneath)."""

    base: str
    env: Mapping[str, str]

    def variable(self, name: str, default: Value = None) -> Value:
        """Laravel's `env(name, default)`."""
        return convert(self.env[name]) if name in self.env else default


def evaluate(source: bytes, file: str, place: Place) -> Value:
    """What `require` of this file returns; Unknown with the line when the file as a whole is not known.

    `file` is the absolute path: it is `__FILE__`, and stands in every Unknown.
    """
    return _evaluated(source, file, _Environment(place))


def evaluate_plain(source: bytes, file: str) -> Value:
    """The same of a file in which no function is known, and no class: what it returns is the same for
    every app."""
    return _evaluated(source, file, _PlainEnvironment())


def _evaluated(source: bytes, file: str, environment: Environment) -> Value:
    try:
        root = parse(source, file)
    except Refused as problem:
        return Unknowable(problem.reason, file, problem.line)
    return _File(file, environment).run(root)


def slug(title: str, separator: str) -> str:
    """Laravel's `Str::slug`. Refused for letters whose transliteration differs between its releases."""
    php = new_evaluator(_Environment(Place("", {})))
    return to_string(php.call_static(STR, "slug", [title.encode(), separator.encode()])).decode()


def env(variables: Mapping[str, str]) -> Act:
    """`env()`, as one of Laravel's helpers."""

    def get(php: Interpreter, name: str, key: PhpValue, default: PhpValue = None) -> PhpValue:
        variable = text(php, key).decode("utf-8", "replace")
        if variable not in variables:
            return arr.value_of(php, default)
        return to_php(convert(variables[variable]))

    return get


class _Hole(PhpObject):
    """Stands in an array where a value is not known."""

    __slots__ = ("unknown",)

    def __init__(self, unknown: Unknowable) -> None:
        super().__init__("")
        self.unknown = unknown


class _More(Exception):
    """The statement is none of those that a file of options has."""


_CHANGING = ("assignment_expression", "augmented_assignment_expression", "update_expression")


class _File:
    """One file while it is read: its imports, and the variables assigned at its top level.

    `_holes`: variables in whose value something is not known.
    """

    def __init__(self, file: str, environment: Environment) -> None:
        self._file = file
        self._scope = Scope(file)
        self._lower = PhpLowerer(self._scope, "", "")
        self._environment = environment
        self._frame = Frame(file)
        self._holes: dict[str, _Hole] = {}

    def run(self, root: Tree) -> Value:
        for statement in children_of(root):
            line = line_of(statement)
            try:
                match statement.type:
                    case "php_tag" | "text_interpolation":
                        pass
                    case "declare_statement" | "namespace_use_declaration":
                        declarations.read_head(statement, self._scope)
                    case "expression_statement":
                        self._assign(children_of(statement)[0])
                    case "return_statement" if children_of(statement):
                        return self._value_from_php(self._value(children_of(statement)[0]), line)
                    case _:
                        raise _More
            except _More:
                return Unknowable("the file does more than return an array", self._file, line)
            except RecursionError:
                return Unknowable("the file is nested too deeply", self._file, line)
        return Unknowable("the file returns nothing", self._file)

    def _assign(self, tree: Tree) -> None:
        left, right = tree.child_by_field_name("left"), tree.child_by_field_name("right")
        if tree.type != "assignment_expression" or not left or not right or left.type != "variable_name":
            raise _More
        name, value = text_of(left), self._value(right)
        hole = next(_holes(value), None)
        self._frame.variables[name[1:]] = value
        self._holes.pop(name, None)
        if hole:
            self._holes[name] = hole

    def _value(self, tree: Tree) -> PhpValue:
        """The value, or an array with holes, or a hole."""
        try:
            if tree.type == "array_creation_expression":
                return self._array(tree)
            value = self._whole(tree)
            if isinstance(value, PhpObject | EnumCase):
                return _Hole(Unknowable("an object, not an option", self._file, line_of(tree)))
            return value
        except (Refused, Thrown) as problem:
            if any(one.type in _CHANGING for one in _within(tree)):  # how far it came is not known
                raise _More from problem
            line = problem.line if isinstance(problem, Refused) else 0
            reason = problem.reason if isinstance(problem, Refused) else "it throws an exception here"
            return _Hole(Unknowable(reason, self._file, line or line_of(tree)))

    def _array(self, tree: Tree) -> PhpArray:
        php = new_evaluator(self._environment)
        result = PhpArray()
        for element in children_of(tree):
            parts = children_of(element)
            if parts[0].type == "variadic_unpacking":
                spread = php.iterable(self._whole(children_of(parts[0])[0]))
                for key, value in spread.items():
                    if isinstance(key, int):
                        result.append(value)
                    else:
                        result[key] = value
            elif len(parts) == 2:
                result[php.key(self._whole(parts[0]))] = self._value(parts[1])
            else:
                result.append(self._value(parts[0]))
        return result

    def _whole(self, tree: Tree) -> PhpValue:
        """The value with nothing unknown in it. Raises Refused, Thrown."""
        if self._holes:
            for one in _within(tree):
                if one.type == "variable_name" and (hole := self._holes.get(text_of(one))):
                    raise Refused(hole.unknown.reason, line=hole.unknown.line)
        return new_evaluator(self._environment).expression(self._lower.expression(tree), self._frame)

    def _value_from_php(self, value: PhpValue, line: int) -> Value:
        match value:
            case _Hole():
                return value.unknown
            case PhpArray():
                return {key_from_php(key): self._value_from_php(one, line) for key, one in value.items()}
            case _:
                return from_php(value, self._file, line)


def _holes(value: PhpValue) -> Iterator[_Hole]:
    if isinstance(value, _Hole):
        yield value
    for inner in value.values() if isinstance(value, PhpArray) else ():
        yield from _holes(inner)


def _within(tree: Tree) -> Iterator[Tree]:
    yield tree
    for child in tree.named_children:
        yield from _within(child)


# ---- what the code of such a file may use ------------------------------------------------------------


class _Environment:
    """An `interpreter.Environment`: PHP's functions, texts and arrays of Laravel, and where the app stands.

    Neither clock nor `config()`: their answers change between two requests, or with the order of files."""

    constants: Mapping[str, PhpValue] = {**functions.CONSTANTS, "DIRECTORY_SEPARATOR": b"/"}

    def __init__(self, place: Place) -> None:
        get = env(place.env)

        def env_function(php: Interpreter, arguments: Sequence[PhpValue]) -> PhpValue:
            return run(php, get, "env()", "env", arguments)

        self.php_version = None
        self.classes = ClassTable(_EXTENSIONS.get)
        self.functions: Mapping[str, Function | ReferenceFunction] = {
            **functions.FUNCTIONS,
            **_functions(place),
            "env": env_function,
        }
        self._natives: Mapping[str, Native] = {
            **STR_CLASSES,
            **ARR_CLASSES,
            ENV: NativeClass(methods={}, statics={"get": get}),
        }

    def native(self, class_name: str) -> Native | None:
        return self._natives.get(class_name)


class _PlainEnvironment:
    """One without functions and classes."""

    constants: Mapping[str, PhpValue] = functions.CONSTANTS
    functions: Mapping[str, Function | ReferenceFunction] = {}
    php_version = None

    def __init__(self) -> None:
        self.classes = ClassTable(lambda name: None)

    def native(self, class_name: str) -> Native | None:
        return None


def _functions(place: Place) -> dict[str, Function | ReferenceFunction]:
    """What PHP's and Laravel's functions say of the place."""

    def folder(name: str) -> Callable[..., bytes]:
        path = f"{place.base}/{name}" if name else place.base
        if name == "storage":
            path = place.env.get("LARAVEL_STORAGE_PATH", path)

        def within(below: bytes = b"") -> bytes:
            return path.encode() + (b"/" + below.lstrip(b"/") if below else b"")

        return within

    def getenv(name: bytes) -> bytes | bool:
        value = place.env.get(name.decode("utf-8", "replace"))
        return False if value is None else value.encode()

    def extension_loaded(php: Interpreter, extension: bytes) -> bool:
        # Which one a connection needs is loaded in an app that uses it, and the others do not matter here
        name = extension.lower()
        if not (
            name.startswith(b"pdo_") or (name == b"redis" and place.env.get("REDIS_CLIENT") == "phpredis")
        ):
            php.refuse("whether an extension is loaded")
        return True

    folders = {"base": "", "resource": "resources"}
    names = ("base", "app", "config", "database", "public", "resource", "storage")
    return table(
        {
            **{f"{name}_path(string $path = '')": folder(folders.get(name, name)) for name in names},
            "getenv(string $name)": getenv,
            "extension_loaded(string $extension)": extension_loaded,
            "defined(string $constant_name)": _defined,
        }
    )


def _defined(php: Interpreter, constant_name: bytes) -> bool:
    # Options are written so for PHP before 8.4, whose constants have the same numbers
    class_name, _, name = constant_name.decode("utf-8", "replace").lstrip("\\").rpartition("::")
    if class_name.lower() != "pdo\\mysql" or name.removeprefix("ATTR_") not in MYSQL_OPTIONS:
        php.refuse("whether a constant is defined")
    return True


# PHP's numbers (ext/pdo/php_pdo_driver.h, ext/pdo_mysql), where mysqlnd is what PDO was built with.
_MYSQL = (
    "USE_BUFFERED_QUERY", "LOCAL_INFILE", "INIT_COMMAND", "COMPRESS", "DIRECT_QUERY", "FOUND_ROWS",
    "IGNORE_SPACE", "SSL_KEY", "SSL_CERT", "SSL_CA", "SSL_CAPATH", "SSL_CIPHER", "SERVER_PUBLIC_KEY",
    "MULTI_STATEMENTS", "SSL_VERIFY_SERVER_CERT",
)  # fmt: skip
MYSQL_OPTIONS = {name: 1000 + number for number, name in enumerate(_MYSQL)}
_PDO_CLASSES = f"""<?php
class PDO {{
    const ATTR_AUTOCOMMIT = 0, ATTR_PREFETCH = 1, ATTR_TIMEOUT = 2, ATTR_ERRMODE = 3, ATTR_CASE = 8,
        ATTR_ORACLE_NULLS = 11, ATTR_PERSISTENT = 12, ATTR_STRINGIFY_FETCHES = 17,
        ATTR_DEFAULT_FETCH_MODE = 19, ATTR_EMULATE_PREPARES = 20,
        ERRMODE_EXCEPTION = 2, CASE_NATURAL = 0, FETCH_ASSOC = 2, FETCH_OBJ = 5;
    const {", ".join(f"MYSQL_ATTR_{name} = {1000 + number}" for number, name in enumerate(_MYSQL))};
}}
"""
_MYSQL_CLASS = f"""<?php
namespace Pdo;
class Mysql {{ const {", ".join(f"ATTR_{name} = {1000 + number}" for number, name in enumerate(_MYSQL))}; }}
"""
# phpredis' own, as far as an option is written with them.
_REDIS_CLASSES = """<?php
class Redis {
    const SERIALIZER_NONE = 0, SERIALIZER_PHP = 1, SERIALIZER_IGBINARY = 2, SERIALIZER_MSGPACK = 3,
        SERIALIZER_JSON = 4,
        COMPRESSION_NONE = 0, COMPRESSION_LZF = 1, COMPRESSION_ZSTD = 2, COMPRESSION_LZ4 = 3,
        SCAN_NORETRY = 0, SCAN_RETRY = 1, SCAN_PREFIX = 2, SCAN_NOPREFIX = 3, BACKOFF_ALGORITHM_DEFAULT = 0,
        BACKOFF_ALGORITHM_DECORRELATED_JITTER = 1, BACKOFF_ALGORITHM_FULL_JITTER = 2,
        BACKOFF_ALGORITHM_EQUAL_JITTER = 3, BACKOFF_ALGORITHM_EXPONENTIAL = 4, BACKOFF_ALGORITHM_UNIFORM = 5,
        BACKOFF_ALGORITHM_CONSTANT = 6;
}
class RedisCluster {
    const FAILOVER_NONE = 0, FAILOVER_ERROR = 1, FAILOVER_DISTRIBUTE = 2, FAILOVER_DISTRIBUTE_SLAVES = 3,
        OPT_SLAVE_FAILOVER = 5;
}
"""
_EXTENSIONS = {
    name: declaration
    for source in (_PDO_CLASSES, _MYSQL_CLASS, _REDIS_CLASSES)
    for name, declaration in declarations.declarations(source.encode(), "").items()
}
