"""The World of `php.evaluate` for one app and one Laravel release."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.errors import Refused
from bridge.laravel.classes.channel import CHANNELS, ChannelClass
from bridge.laravel.framework import framework_class
from bridge.laravel.source import AppSource
from bridge.laravel.version import Version
from bridge.php import nodes as n
from bridge.php.classes import ClassTable
from bridge.php.evaluate import Function, Native, ReferenceFunction
from bridge.php.values import Value

# Calls in providers and bootstrap files that change how every event turns out. Spec: real-events, danger 20.
_GLOBAL_CHANGES = re.compile(
    rb"::\s*(serializeUsing|pipeThrough|withoutWrapping|morphMap|enforceMorphMap|shouldBeStrict|"
    rb"preventAccessingMissingAttributes|preventLazyLoading)\s*\(|\bDate\s*::\s*use\s*\(|"
    rb"Broadcast\s*::\s*extend\s*\("
)
_PROVIDERS = ("app/Providers", "bootstrap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is the same for every release: functions, constants and classes written in Python."""

    functions: Mapping[str, Function | ReferenceFunction]
    constants: Mapping[str, Value]


class AppWorld:
    """A `bridge.php.evaluate.World`. Make a new one when the app's source has changed."""

    def __init__(self, source: AppSource, version: Version, known: Known) -> None:
        self.version = version
        self.functions = known.functions
        self.constants = known.constants
        self.classes = ClassTable(self._load)
        self._source = source
        self._natives: dict[str, Native] = dict.fromkeys(CHANNELS, ChannelClass())
        self._change = self._global_change()

    def native(self, class_name: str) -> Native | None:
        return self._natives.get(class_name)

    def require_plain_app(self) -> None:
        """Refused where a provider changes what no event's class shows."""
        if self._change is not None:
            raise self._change

    def _load(self, class_name: str) -> n.ClassDeclaration | None:
        return framework_class(class_name, self.version) or self._source.load(class_name)

    def _global_change(self) -> Refused | None:
        for file, text in self._source.texts(*_PROVIDERS):
            match = _GLOBAL_CHANGES.search(text)
            if match is not None:
                line = text.count(b"\n", 0, match.start()) + 1
                what = match[0].decode("ascii", "replace").rstrip("( ")
                return Refused(f"the app calls {what}, which changes every event", file=file, line=line)
        return None


class Worlds:
    """The world of each release, made anew when a file it was made from has changed.

    `clock` in seconds, monotonic: files are looked at once a second at most.
    """

    def __init__(self, source: AppSource, known: Known, clock: Callable[[], float]) -> None:
        self._source = source
        self._known = known
        self._clock = clock
        self._looked_at = clock()
        self._worlds: dict[Version, AppWorld] = {}

    def of(self, version: Version) -> AppWorld:
        now = self._clock()
        if now - self._looked_at >= 1.0:
            self._looked_at = now
            if self._source.changed():
                self._worlds.clear()
        if version not in self._worlds:
            self._worlds[version] = AppWorld(self._source, version, self._known)
        return self._worlds[version]
