"""The World of `php.evaluate` for one app and one Laravel release."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bridge.errors import Refused
from bridge.laravel.classes.channel import CHANNELS, ChannelClass
from bridge.laravel.framework import framework_class
from bridge.laravel.source import AppSource
from bridge.laravel.version import Version
from bridge.php import nodes as n
from bridge.php.classes import ClassTable
from bridge.php.evaluate import Evaluator, Function, Native
from bridge.php.values import PhpObject, Value

# Calls in providers and bootstrap files that change how every event turns out. Spec: real-events, danger 20.
_GLOBAL_CHANGES = re.compile(
    rb"::\s*(serializeUsing|pipeThrough|withoutWrapping|morphMap|enforceMorphMap|shouldBeStrict|"
    rb"preventAccessingMissingAttributes|preventLazyLoading)\s*\(|\bDate\s*::\s*use\s*\(|"
    rb"Broadcast\s*::\s*extend\s*\("
)
_PROVIDERS = ("app/Providers", "bootstrap")


class Models(Protocol):
    """Where models come from; see `bridge.laravel.models`."""

    def restore(self, identifier: PhpObject, php: Evaluator) -> Value: ...

    def native(self) -> Native: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is the same for every release: functions, constants and classes written in Python."""

    functions: Mapping[str, Function]
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
