"""Laravel's `.env`: the grammar of vlucas/phpdotenv 5 and the words that Laravel's `env()` knows.

The reader follows `Parser/Lines.php` (which lines make one entry), `Parser/EntryParser.php` (the states of
a value) and `Loader/Resolver.php` (`${NAME}`), oddities included: an entry whose closing quote never comes
swallows the rest of the file, and a name without `=` unsets what the file said before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from bridge.errors import ConfigurationError

EnvValue = str | bool | None

_SPACE = " \t\n\r\0\x0b"  # what PHP's trim() takes off
_NAME = re.compile(r"[a-zA-Z0-9_.]+")
_REFERENCE = re.compile(r"\$\{([a-zA-Z0-9_.]+)\}")
_PIECE = re.compile(r"[\r\n]+|[^\S\r\n]+|[\\'\"#$]|[^\s\\'\"#$]+", re.ASCII)
_QUOTE_THAT_ENDS = re.compile(r'(?=[^\\]")', re.DOTALL)
_QUOTED = re.compile(r"(['\"])(.*)\1")
_WORDS: dict[str, EnvValue] = {"true": True, "false": False, "null": None, "empty": ""}
_ESCAPES = {"f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

_State = Literal["initial", "unquoted", "single", "double", "escape", "after", "comment"]


def read_dotenv(base: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What `.env` in the app's folder says, or `.env.NAME` if that exists and the real APP_ENV is NAME.

    ConfigurationError if it cannot be read, or is broken.
    """
    named = base / f".env.{environ.get('APP_ENV')}"
    file = named if named.is_file() else base / ".env"
    if not file.is_file():
        return {}
    try:
        text = file.read_bytes().decode("utf-8", "replace").replace("\ufffd", "?")
    except OSError as error:
        raise ConfigurationError(
            ".env", f"cannot be read, {error.strerror}", where=str(file), remedy="let this user read it"
        ) from None
    return parse(text, environ, file=str(file))


def parse(text: str, environ: Mapping[str, str], *, file: str = ".env") -> dict[str, str]:
    """The variables that the file sets. Those that `environ` has already are left out: it wins.

    `${NAME}` is looked up in `environ`, then among the entries above; unknown ones stay as they stand.
    Raises ConfigurationError with file and line, never with a value.
    """
    found: dict[str, str] = {}
    for line, entry in _entries(text.removeprefix("\ufeff")):
        name, value = _split(entry, f"{file}:{line}")
        if name in environ:
            continue
        if value is None:
            found.pop(name, None)
        else:
            chars, references = _value(value, name, f"{file}:{line}")
            for at in reversed(references):
                chars = chars[:at] + _resolve(chars[at:], environ, found)
            found[name] = chars
    return found


def convert(value: str) -> EnvValue:
    """What Laravel's `env()` makes of a variable's text: `true`, `(null)`, `empty` … and quotes taken off."""
    word = value.lower()
    if word.startswith("(") and word.endswith(")"):
        word = word[1:-1]
    if word in _WORDS:
        return _WORDS[word]
    quoted = _QUOTED.fullmatch(value)
    return quoted[2] if quoted else value


def _entries(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each entry; `NAME="` begins one of several lines."""
    buffer: list[str] = []
    first = 0
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        starts = '="' in line and not _stops(line, started=True)
        if starts or buffer:
            first = first if buffer else number
            buffer.append(line)
            if not _stops(line, started=starts):
                continue
            line, number = "\n".join(buffer), first
            buffer = []
        bare = line.strip(_SPACE)
        if bare and not bare.startswith("#"):
            yield number, line


def _stops(line: str, *, started: bool) -> bool:
    quotes = len(_QUOTE_THAT_ENDS.findall(line.replace("\\\\", "")))
    return line == '"' or quotes > (1 if started else 0)


def _split(entry: str, where: str) -> tuple[str, str | None]:
    name, equals, rest = entry.partition("=")
    value = rest.strip(_SPACE) if equals else None
    name = name.strip(_SPACE) if equals else name
    if not name:
        raise _broken("an entry", where, "has no name before its `=`")
    if len(name) > 8 and name.startswith("export") and name[6] in " \t\n\r\v\f":
        name = name[6:].lstrip(_SPACE)
    if len(name) > 2 and name[0] == name[-1] and name[0] in "'\"":
        name = name[1:-1]
    if not _NAME.fullmatch(name):
        raise _broken("an entry", where, "has a name with other signs than letters, digits, `_` and `.`")
    return name, value


def _value(text: str, name: str, where: str) -> tuple[str, list[int]]:
    """The characters of the value and the places of those `$` that may begin a reference."""
    chars = ""
    references: list[int] = []
    state: _State = "initial"
    for piece in _PIECE.findall(text):
        keeps, following = _step(state, piece, name, where)
        if keeps and piece == "$" and state != "single" and state != "escape":
            references.append(len(chars))
        if keeps and state == "escape":
            piece = _ESCAPES.get(piece[0], piece[0]) + piece[1:]
        chars += piece if keeps else ""
        state = following
    if state in ("single", "double", "escape"):
        raise _broken(name, where, "has no closing quote")
    return chars, references


def _step(state: _State, piece: str, name: str, where: str) -> tuple[bool, _State]:
    """Whether the piece belongs to the value, and the next state."""
    space = piece[0] in " \t\n\r\v\f"
    match state:
        case "initial":
            quotes: dict[str, _State] = {"'": "single", '"': "double", "#": "comment"}
            return (False, quotes[piece]) if piece in quotes else (True, "unquoted")
        case "unquoted":
            return (False, "comment") if piece == "#" else (False, "after") if space else (True, "unquoted")
        case "single":
            return (False, "after") if piece == "'" else (True, "single")
        case "double":
            ends: dict[str, _State] = {'"': "after", "\\": "escape"}
            return (False, ends[piece]) if piece in ends else (True, "double")
        case "escape":
            if piece in ('"', "\\", "$") or piece[0] in _ESCAPES:
                return True, "double"
            raise _broken(name, where, "has an unknown escape sequence in its double quotes")
        case "after":
            if piece == "#" or space:
                return False, "comment" if piece == "#" else "after"
            raise _broken(name, where, "has a space in its value but no quotes around it")
        case "comment":
            return False, "comment"


def _resolve(text: str, environ: Mapping[str, str], found: Mapping[str, str]) -> str:
    reference = _REFERENCE.match(text)
    if reference is None:
        return text
    value = environ.get(reference[1], found.get(reference[1]))
    return text if value is None else value + text[reference.end() :]


def _broken(key: str, where: str, problem: str) -> ConfigurationError:
    return ConfigurationError(key, problem, where=where, remedy="write the line as phpdotenv reads it")
