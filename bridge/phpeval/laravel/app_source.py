"""The app's PHP files: class name → declaration, by the autoload rules of its composer.json.

Parsed files are kept by path, mtime and size. Whoever holds a ClassTable made from here asks `changed` now
and then, and makes a new one after a deploy. A file that is not there has nothing to say; one that was there
a moment ago, or that is being written, is SourceChanging, and what the machine lacks for a while is NotTried.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bridge.errors import NotTried, Refused, SourceChanging
from bridge.phpeval.laravel.files import NoFile, read_file
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.parse.declarations import declarations

T = TypeVar("T")

_DEFAULT_ROOTS = (("App\\", "app/"),)
_OWN = ("Illuminate\\", "Carbon\\")
_STATIC = re.compile(rb"::\s*\$(\w*)")  # an empty name: `::$$name`, which may be any
AWAY = 10.0  # seconds that a file may be away until it is gone
WRITING = 2.0  # seconds since its last change in which a file that lacks something is half written
_SKIPPED = {"vendor", "node_modules", "storage", "tests"}
# Folders at the app's root whose code does not run when it boots.
_NOT_BOOTED = {"database", "lang", "public", "resources"}
_INSTALLED = "vendor/composer/installed.json"


@dataclass(frozen=True, slots=True)
class _Stamp:
    mtime_ns: int
    size: int


class AppSource:
    """The PHP classes of the app in the folder `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._roots = _roots(path)
        self._at_once = _at_once(path)
        self._packages = _packages(path)
        self.php_platform = _php_platform(path)
        self._parsed: dict[str, tuple[_Stamp, dict[str, n.ClassDeclaration] | Refused]] = {}
        self._gone: dict[
            str, float
        ] = {}  # files that were parsed, and since when (monotonic) they are not there
        self._looked: dict[str, _Stamp | None] = {}
        self._statics: set[bytes] | None = None
        self._kept: dict[str, tuple[_Stamp | None, object]] = {}

    @property
    def path(self) -> Path:
        return self._path

    @property
    def has_code(self) -> bool:
        """Whether any of the autoload folders is there (a folder with only `.env` has none)."""
        return any((self._path / folder).is_dir() for _, folder in self._roots)

    def load(self, class_name: str) -> n.ClassDeclaration | None:
        """The declaration of a class of the app, else of a package in vendor/; None if no file has it.

        Refused where its file cannot be parsed; SourceChanging where it was changed just now and has none.
        """
        for prefix, folder in (*self._roots, *self._packages):
            if not class_name.startswith(prefix):
                continue
            relative = folder + class_name[len(prefix) :].replace("\\", "/") + ".php"
            there = self.parse(relative)
            if class_name in there:
                return there[class_name]
            if not there and self._is_fresh(self._looked[relative]):
                raise SourceChanging("the file is being written, perhaps: no class is in it", file=relative)
        return None

    def is_own(self, class_name: str) -> bool:
        """Whether the class is of the app's own autoload folders."""
        return any(class_name.startswith(prefix) for prefix, _ in self._roots)

    def parse(self, relative: str) -> dict[str, n.ClassDeclaration]:
        """The classes of a file, by its path from the app's root; empty if there is no such file."""
        stamp = self._stamp(relative)
        self._looked[relative] = stamp
        kept = self._parsed.get(relative)
        if stamp is None:
            if (
                kept is not None
                and time.monotonic() - self._gone.setdefault(relative, time.monotonic()) < AWAY
            ):
                raise SourceChanging("the file was there a moment ago, and is away", file=relative)
            return {}
        self._gone.pop(relative, None)
        if kept is None or kept[0] != stamp:
            kept = (stamp, self._read(relative))
            self._parsed[relative] = kept
        if isinstance(kept[1], Refused):
            if self._is_fresh(stamp):
                raise SourceChanging(f"the file is being written, perhaps: {kept[1]}")
            raise kept[1]
        return kept[1]

    def _is_fresh(self, stamp: _Stamp | None) -> bool:
        """Whether the file was changed so lately that it may be half written."""
        return stamp is not None and abs(time.time() - stamp.mtime_ns / 1e9) < WRITING

    def changed(self) -> bool:
        """Whether a file that was looked at since the last call is another one now. Costs a stat a file."""
        for relative, stamp in self._looked.items():
            if self._stamp(relative) != stamp:
                self._looked.clear()
                self._statics = None
                return True
        return False

    def files(self) -> Iterator[str]:
        """Every PHP file of the autoload folders, sorted, as paths from the app's root.

        Composer's path repositories, which it links into vendor/, are folders of the app.
        """
        linked = [root for root in self._packages if self._is_linked(root[1])]
        for _, folder in (*self._roots, *linked):
            yield from self._walk(folder)

    def boot_files(self) -> Iterator[str]:
        """Every PHP file of the app that may run when it boots, once: those of `files`, those that composer
        loads at once, and those of all folders from which configuration, routes and providers may load more;
        but no caches."""
        self._look(".")
        folders = sorted(
            one.name
            for one in self._path.iterdir()
            if one.name not in _SKIPPED | _NOT_BOOTED and not one.name.startswith(".") and one.is_dir()
        )
        walked = (file for folder in folders for file in self._walk(folder))
        for file in dict.fromkeys(itertools.chain(self.files(), self._at_once, walked)):
            if not file.startswith("bootstrap/cache/"):
                yield file

    def is_autoloaded(self, file: str) -> bool:
        """Whether the file runs only when a class of the app is used."""
        return file not in self._at_once and any(file.startswith(folder) for _, folder in self._roots)

    def package_files(self, folder: str) -> Iterator[str]:
        """Those of a package in vendor/, which only another installation changes."""
        return self._walk(folder, watch=False)

    def _walk(self, start: str, *, watch: bool = True) -> Iterator[str]:
        for root, folders, names in os.walk(self._path / start):
            folders[:] = sorted(name for name in folders if name not in _SKIPPED)
            if watch:
                self._look(os.path.relpath(root, self._path))
            for name in sorted(names):
                if name.endswith(".php"):
                    yield os.path.relpath(os.path.join(root, name), self._path)

    def file_of(self, class_name: str) -> str | None:
        """The file in which the autoload rules look for the class; None if there is none."""
        for prefix, folder in (*self._roots, *self._packages):
            if class_name.startswith(prefix):
                relative = folder + class_name[len(prefix) :].replace("\\", "/") + ".php"
                if (self._path / relative).is_file():
                    return relative
        return None

    def config_names(self) -> frozenset[bytes]:
        """Top-level names of configuration that the app's own files give."""
        self._look("config")
        return frozenset(os.fsencode(file.stem) for file in (self._path / "config").glob("*.php"))

    def watch(self, files: Iterable[str]) -> None:
        """Watches these files too: `changed` looks at them from now on."""
        for file in files:
            self._look(file)

    def kept(self, about: str, make: Callable[[], T]) -> T:
        """What `make` gave for `about`, made anew after another installation of packages."""
        self._look(_INSTALLED)
        stamp = self._looked[_INSTALLED]
        known = self._kept.get(about)
        if known is None or known[0] != stamp:
            known = (stamp, make())
            self._kept[about] = known
        return known[1]  # type: ignore[return-value]

    def _is_linked(self, folder: str) -> bool:
        home, place = self._path.resolve(), (self._path / folder).resolve()
        return place.is_relative_to(home) and not place.is_relative_to(home / "vendor")

    def text(self, relative: str, *, watch: bool = True) -> bytes:
        """The source of a file, by its path from the app's root; empty if there is none."""
        if watch:
            self._look(relative)
        return _bytes(self._path / relative)

    def mentions_static(self, name: str) -> bool:
        """Whether any PHP file of the app (but its own declaration) speaks of a static property `::$name`."""
        if self._statics is None:
            self._statics = set()
            for folder in ("app", "bootstrap", "config", "database", "routes", "src"):
                for file in (self._path / folder).rglob("*.php"):
                    self._statics.update(_STATIC.findall(_bytes(file)))
        return name.encode() in self._statics or b"" in self._statics

    def _look(self, relative: str) -> None:
        """Watches this file, or the names in this folder: `changed` looks at them from now on."""
        self._looked[relative] = self._stamp(relative)

    def _stamp(self, relative: str) -> _Stamp | None:
        try:
            found = os.stat(f"{self._path}/{relative}")  # of thousands each second, where a Path is slow
        except OSError:
            return None
        return _Stamp(found.st_mtime_ns, found.st_size)

    def _read(self, relative: str) -> dict[str, n.ClassDeclaration] | Refused:
        try:
            return declarations(read_file(self._path / relative), relative)
        except Refused as refusal:
            return refusal
        except IsADirectoryError:
            return {}
        except (NoFile, PermissionError) as error:
            return Refused(f"the file cannot be read, {error.strerror}", file=relative)
        except OSError as error:
            raise NotTried.because_of(error) from error


def _bytes(file: Path) -> bytes:
    """What stands in the file; nothing where there is none (editors leave links that lead nowhere)."""
    try:
        return read_file(file)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, NoFile):
        return b""
    except PermissionError as error:
        raise Refused(f"the file cannot be read, {error.strerror}", file=str(file)) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            return b""
        raise NotTried.because_of(error) from error


def _roots(path: Path) -> tuple[tuple[str, str], ...]:
    """PSR-4 prefixes and folders of the app, the longest prefix first."""
    return _psr4(_document(path / "composer.json"), "") or _DEFAULT_ROOTS


def _at_once(path: Path) -> tuple[str, ...]:
    """Files of the app that composer loads with itself."""
    document = _document(path / "composer.json")
    autoload = document.get("autoload") if isinstance(document, dict) else None
    files = autoload.get("files") if isinstance(autoload, dict) else None
    named = [one for one in files if isinstance(one, str)] if isinstance(files, list) else []
    return tuple(os.path.normpath(one) for one in named if (path / one).is_file())


def _packages(path: Path) -> tuple[tuple[str, str], ...]:
    """Those of the installed packages, without Laravel itself and Carbon, whose classes are written here.

    Composer writes install paths as seen from vendor/composer.
    """
    document = _document(path / "vendor/composer/installed.json")
    listed = document.get("packages") if isinstance(document, dict) else document
    roots: list[tuple[str, str]] = []
    for package in listed if isinstance(listed, list) else ():
        if isinstance(package, dict) and isinstance(package.get("install-path"), str):
            roots += _psr4(package, os.path.normpath("vendor/composer/" + package["install-path"]) + "/")
    foreign = [root for root in roots if root[0] and not root[0].startswith(_OWN)]
    return tuple(sorted(foreign, key=lambda root: -len(root[0])))


def _php_platform(path: Path) -> tuple[int, int] | None:
    """Major and minor of the PHP that Composer's configuration names, None where it names none; also
    the lowest that the app requires, if all that it allows is PHP 7."""
    platform = _text_in(path, "config", "platform", "php")
    match = re.match(r"(\d+)\.(\d+)", platform)
    if match is None:
        allowed = re.split(r"\s*\|\|?\s*", _text_in(path, "require", "php").strip())
        sevens = [re.match(r"[\^~]?(7)\.(\d+)(\.[\d*]+)?\Z", one) for one in allowed]
        match = sevens[0] if all(sevens) else None
    return (int(match[1]), int(match[2])) if match is not None else None


def _text_in(path: Path, *names: str) -> str:
    """A text of composer.json; empty where it is missing."""
    document = _document(path / "composer.json")
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, str) else ""


def _document(file: Path) -> Any:
    try:
        return json.loads(read_file(file))
    except (OSError, ValueError):
        return None


def _psr4(document: Any, base: str) -> tuple[tuple[str, str], ...]:
    autoload = document.get("autoload") if isinstance(document, dict) else None
    mapping = autoload.get("psr-4") if isinstance(autoload, dict) else None
    roots = []
    for prefix, folders in mapping.items() if isinstance(mapping, dict) else ():
        for folder in folders if isinstance(folders, list) else [folders]:
            if isinstance(folder, str):
                roots.append((str(prefix), base + (folder.rstrip("/") + "/" if folder else "")))
    return tuple(sorted(roots, key=lambda root: -len(root[0])))
