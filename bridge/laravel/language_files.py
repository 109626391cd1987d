"""The app's language files, as `bridge.phpeval.laravel.support.translations` asks for them.

Source: Translation/FileLoader.php, 8.83 to 13.31.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from bridge.errors import Refused
from bridge.laravel.config_file import evaluate_plain
from bridge.laravel.config_values import Unknowable, Value, to_php
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject
from bridge.phpeval.php.runtime.values import Value as PhpValue
from bridge.phpeval.php.serialization.json_decode import NotJson, read_json

FOLDERS = ("resources/lang", "lang")  # the first that is there
_Reader = Callable[[bytes, str], PhpArray]


class LanguageFiles:
    """A `translations.Lines`. Make a new one when a file of it has changed, which `source` notices.

    `locale` and `fallback` are the app's; `fallback` is empty where there is none. Raises Refused where the
    files cannot be listed.
    """

    def __init__(self, source: AppSource, locale: str, fallback: str) -> None:
        self.locale = locale.encode()
        self.fallback = fallback.encode() or None
        self._source = source
        source.watch(FOLDERS)
        self._folder = next((one for one in FOLDERS if (source.path / one).is_dir()), FOLDERS[-1])
        self._files = frozenset(_listed(source, self._folder))
        self._read: dict[str, PhpArray] = {}

    def json(self, locale: bytes) -> PhpArray:
        return self._known(f"{os.fsdecode(locale)}.json", _of_json)

    def group(self, locale: bytes, group: bytes) -> PhpArray:
        return self._known(f"{os.fsdecode(locale)}/{os.fsdecode(group)}.php", _of_php)

    def _known(self, name: str, read: _Reader) -> PhpArray:
        if name not in self._files:
            return PhpArray()
        if name not in self._read:
            file = f"{self._folder}/{name}"
            self._read[name] = read(self._source.text(file), file)
        return self._read[name]


def _listed(source: AppSource, folder: str) -> Iterator[str]:
    """Every file of the folder, as paths from there. Raises Refused."""
    top = source.path / folder
    if not top.is_dir():
        return
    source.watch([folder])  # first: what comes while it is listed is then seen as a change
    try:
        entries = list(os.scandir(top))
    except OSError as problem:
        raise Refused("the language files cannot be listed", file=folder) from problem
    for entry in entries:
        if not entry.is_dir():
            yield entry.name
        elif entry.is_symlink():
            raise Refused("a folder of language files is a link", file=folder)
        else:
            yield from (f"{entry.name}/{name}" for name in _listed(source, f"{folder}/{entry.name}"))


def _of_json(text: bytes, file: str) -> PhpArray:
    """As `array_merge` leaves it: keys that are numbers are counted anew."""
    try:
        read = read_json(text, objects=False)
    except NotJson:
        read = None
    if not isinstance(read, PhpArray):
        raise Refused("the language file is no JSON object", file=file)
    lines = PhpArray()
    for key, line in read.items():
        if isinstance(key, int):
            lines.append(line)
        else:
            lines[key] = line
    return lines


def _of_php(text: bytes, file: str) -> PhpArray:
    value = evaluate_plain(text, file)
    if isinstance(value, Unknowable):
        raise Refused(f"a language file that only PHP could tell, {value.reason}", file=file, line=value.line)
    held = _as_php(value)
    if not isinstance(held, PhpArray):
        raise Refused("the language file returns no array", file=file)
    return held


def _as_php(value: Value) -> PhpValue:
    """An object in place of what is not known."""
    if isinstance(value, Unknowable):
        return PhpObject("")
    if isinstance(value, dict):
        lines = PhpArray()
        for key, one in value.items():
            lines[key if isinstance(key, int) else key.encode("utf-8", "surrogateescape")] = _as_php(one)
        return lines
    return to_php(value)
