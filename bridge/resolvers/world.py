"""The World of `php.evaluate` for one app and one Laravel release."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from zoneinfo import ZoneInfo

from bridge.errors import BridgeError, Refused
from bridge.laravel import objects
from bridge.laravel.classes.attribute import ATTRIBUTE, AttributeClass
from bridge.laravel.classes.channel import CHANNEL, CHANNELS, ChannelClass
from bridge.laravel.classes.exception import ExceptionClass
from bridge.laravel.classes.resource import RESOURCE, RESOURCE_CLASSES
from bridge.laravel.framework import EXCEPTIONS, MODEL, framework_class
from bridge.laravel.models.batch import read_ahead
from bridge.laravel.models.casts import Surroundings
from bridge.laravel.models.dates import CARBON, IMMUTABLE
from bridge.laravel.models.model import ModelClass
from bridge.laravel.models.records import Records
from bridge.laravel.models.relations import RELATION_CLASSES, RelationClass
from bridge.laravel.objects import MODEL_IDENTIFIER
from bridge.laravel.payload import BroadcastEvent
from bridge.laravel.source import AppSource
from bridge.laravel.version import Version
from bridge.php import nodes as n
from bridge.php.classes import ClassTable
from bridge.php.evaluate import Evaluator, Function, Native, ReferenceFunction
from bridge.php.syntax import is_comment
from bridge.php.values import PhpObject, Value

# Calls in providers and bootstrap files that change how every event turns out. Spec: real-events, danger 20.
_GLOBAL_CHANGES = re.compile(
    rb"::\s*(serializeUsing|pipeThrough)\s*\(|\bDate(Factory)?\s*::\s*use\w*\s*\(|"
    rb"Broadcast\s*::\s*extend\s*\(|\bdate_default_timezone_set\s*\(|"
    rb"\bini_set\s*\(\s*['\"](serialize_)?precision|\b(setDefaultConnection|setDefaultDriver)\s*\(|"
    rb"(\bconfig\s*\(\s*\[[^\]]*|\bConfig\s*::\s*set\s*\(\s*|->\s*set\s*\(\s*)"
    rb"['\"](app\.(timezone|locale|fallback_locale|key|cipher|previous_keys)|broadcasting|database)\b|"
    rb"\beloquent\.(retrieved|booting|booted|\*)|"
    rb"\b(Carbon|CarbonImmutable|Date)\s*::\s*(setTestNow|setToStringFormat|useMonthsOverflow|useYearsOverflow|"
    rb"setHumanDiffOptions|enableHumanDiffOption|disableHumanDiffOption)\s*\(|\bPluralizer\s*::|"
    rb"Resource(Collection)?\s*::\s*(macro|mixin)\s*\("
)
# And those that change what models do in some cases only: field of `Surroundings` → the call.
_MODEL_CHANGES = {
    "lazy": rb"::\s*(shouldBeStrict|preventLazyLoading|automaticallyEagerLoadRelationships)\s*\(",
    "missing": rb"::\s*(shouldBeStrict|preventAccessingMissingAttributes)\s*\(",
    "morphs": rb"::\s*(morphMap|enforceMorphMap|requireMorphMap)\s*\(",
    "encrypter": rb"::\s*encryptUsing\s*\(",
    "snake": rb"::\s*\$snakeAttributes\s*=",
}
# What makes all dates immutable, which shows in no JSON of them
_IMMUTABLE_DATES = re.compile(rb"\bDate\s*::\s*use\s*\(\s*(\\Carbon\\)?CarbonImmutable\s*::\s*class\s*\)\s*;")
_DATE_FACADE = b"use Illuminate\\Support\\Facades\\Date;"
# Those that give configuration that no file has: of these names `config()` knows nothing.
_CONFIG_CHANGE = re.compile(
    rb"\bconfig\s*\(\s*\[|\bConfig\s*::\s*(set|push|prepend)\s*\(|\bmergeConfigFrom\s*\(|"
    rb"(\bconfig\s*\(\s*\)|\bconfig['\"]\s*[\])])\s*->\s*(set|push|prepend)\s*\("
)
_CONFIG_NAME = re.compile(rb"['\"]([\w-]+)")
_CONFIG = ("Config", "Illuminate\\Support\\Facades\\Config")
# Hooks on the reading of a model, from outside of its class; those in its class are seen by ModelFacts.
_HOOK = re.compile(rb"(\$?\w+)\s*::\s*(retrieved|addGlobalScopes?|resolveRelationUsing)\s*\(")
_OBSERVING = re.compile(rb"::\s*observe\s*\(|\$observers\b")
_HEARS_READING = re.compile(rb"\bfunction\s+retrieved\s*\(", re.IGNORECASE)
_OF_OTHER_PROCESSES = ("/Http/", "/Console/")
_LOCALE_CHANGE = re.compile(rb"\bsetLocale\s*\(", re.IGNORECASE)
_PROVIDERS = ("app/Providers", "bootstrap")


def natives(version: Version) -> dict[str, Native]:
    """Classes written in Python, by name; models and resources of the app are found by their parent."""
    return {
        **dict.fromkeys(CHANNELS, ChannelClass()),
        **dict.fromkeys(RELATION_CLASSES, RelationClass()),
        **dict.fromkeys(EXCEPTIONS, ExceptionClass()),
        **RESOURCE_CLASSES,
        ATTRIBUTE: AttributeClass(version),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is the same for every release.

    functions, constants  by name
    natives               classes written in Python that depend on the app (its clock, zone, locale)
    records, connection   the app's database, and the name of its default connection
    zone                  `app.timezone`
    decrypt               opens an `encrypted` attribute
    php_version           major and minor of the app's PHP as the app itself reports it
    """

    functions: Mapping[str, Function | ReferenceFunction]
    constants: Mapping[str, Value]
    natives: Mapping[str, Native]
    records: Records
    connection: str
    zone: ZoneInfo
    decrypt: Callable[[bytes], bytes]
    php_version: tuple[int, int] | None = None


class AppWorld:
    """A `bridge.php.evaluate.World`. Make a new one when the app's source has changed."""

    def __init__(self, source: AppSource, version: Version, known: Known) -> None:
        self.version = version
        self.php_version = known.php_version or source.php_platform
        self.functions = known.functions
        self.constants = known.constants
        self.classes = ClassTable(self._load)
        self._source = source
        self._natives: dict[str, Native | None] = {**natives(version), **known.natives}
        changes = {name: self._change_by(re.compile(call)) for name, call in _MODEL_CHANGES.items()}
        encrypter = changes.pop("encrypter")
        self.date_class = self._date_class()
        around = Surroundings(
            zone=known.zone,
            decrypt=known.decrypt if encrypter is None else partial(_refuse, encrypter),
            version=version,
            date_class=self.date_class,
            **changes,
        )
        self._models = ModelClass(known.records, around, known.connection, objects.to_array)
        self._change = self._old_php() or self._change_by(_GLOBAL_CHANGES) or self._hook()
        names = self._configured()
        if names:
            config = self.functions["config"]
            self.functions = {**self.functions, "config": _without(names, config)}  # type: ignore[arg-type]
            self._natives |= dict.fromkeys(_CONFIG)
        # Whether the app's language is more than `app.locale`: then no sentence can be written here.
        self.sets_locale = any(_LOCALE_CHANGE.search(text) for _, text in source.texts(*_PROVIDERS))

    def native(self, class_name: str) -> Native | None:
        if class_name not in self._natives:
            self._natives[class_name] = self._by_ancestor(class_name)
        return self._natives[class_name]

    def _by_ancestor(self, class_name: str) -> Native | None:
        """Classes of the app that build on one written in Python."""
        if self.classes.find(class_name) is not None:
            for ancestor, native in (
                (MODEL, self._models),
                (RESOURCE, RESOURCE_CLASSES[RESOURCE]),
                (CHANNEL, self._natives[CHANNEL]),
            ):
                if self.classes.is_a(class_name, ancestor):
                    return native
        return None

    def restore_model(self, identifier: PhpObject, php: Evaluator) -> Value:
        """See `ModelClass.restore`."""
        return self._models.restore(identifier, php)

    def prepare(self, events: Iterable[BroadcastEvent]) -> None:
        """What the models of these events have in common is read at once. Raises ServiceUnavailable."""
        objects = (one for event in events for one in event.objects if one.class_name == MODEL_IDENTIFIER)
        read_ahead(self._models, Evaluator(self), objects)

    def keeps_default(self, static_property: str) -> bool:
        """Whether nothing in the app could have changed a static property of that name."""
        return not self._source.mentions_static(static_property)

    def require_plain_app(self) -> None:
        """Refused where a provider changes what no event's class shows."""
        if self._change is not None:
            raise self._change

    def _load(self, class_name: str) -> n.ClassDeclaration | None:
        return framework_class(class_name, self.version) or self._source.load(class_name)

    def _old_php(self) -> Refused | None:
        if self.php_version is not None and self.php_version < (8, 0):
            return Refused("the app runs on PHP 7, whose rules are others")
        return None

    def _date_class(self) -> str:
        """The class of dates that the `Date` facade makes."""
        immutable = any(self._makes_immutable(text) for _, text in self._source.texts(*_PROVIDERS))
        return IMMUTABLE if immutable else CARBON

    @staticmethod
    def _makes_immutable(text: bytes) -> bool:
        match = _IMMUTABLE_DATES.search(text)
        if match is None or is_comment(text, "", match.start()) or _DATE_FACADE not in text:
            return False
        return bool(match[1]) or b"use Carbon\\CarbonImmutable;" in text

    def _hook(self) -> Refused | None:
        """The first hook on the reading of models that stands outside of a model."""
        observing = any(_OBSERVING.search(text) for _, text in self._source.texts(*_PROVIDERS))
        for file in (*self._source.files(), *(name for name, _ in self._source.texts("bootstrap"))):
            if any(part in f"/{file}" for part in _OF_OTHER_PROCESSES):
                continue
            text = self._source.text(file)
            own = {b"static", b"self", b"parent", file.rpartition("/")[2].removesuffix(".php").encode()}
            boots = b"static function boot" in text  # then its `$class::` may be the model's own
            matches = [
                match
                for match in _HOOK.finditer(text)
                if match[1] not in own and not (boots and match[1].startswith(b"$"))
            ]
            if observing:
                matches += _HEARS_READING.finditer(text)
            for match in matches:
                if not is_comment(text, file, match.start()):
                    line = text.count(b"\n", 0, match.start()) + 1
                    what = " ".join(match[0].decode("ascii", "replace").strip("( ").split())
                    return Refused(f"the app has {what}(), which changes models", file=file, line=line)
        return None

    def _configured(self) -> set[bytes]:
        """Names of configuration that a provider sets while the app boots; an empty one for any."""
        names: set[bytes] = set()
        for _, text in self._source.texts(*_PROVIDERS):
            for match in _CONFIG_CHANGE.finditer(text):
                found = _CONFIG_NAME.findall(text[match.end() : text.find(b";", match.end())])
                names.update(found or [b""])
        return names

    def _change_by(self, calls: re.Pattern[bytes]) -> Refused | None:
        """The first of such calls in a provider."""
        for file, text in self._source.texts(*_PROVIDERS):
            for match in calls.finditer(text):
                if is_comment(text, file, match.start()):
                    continue
                if _IMMUTABLE_DATES.match(text, match.start()) and self._makes_immutable(text):
                    continue
                line = text.count(b"\n", 0, match.start()) + 1
                what = match[0].decode("ascii", "replace").strip(":( =")
                return Refused(f"the app calls {what}(), which changes every event", file=file, line=line)
        return None


def _refuse(why: Refused, _: bytes) -> bytes:
    raise why


def _without(names: set[bytes], config: Function) -> Function:
    """`config()` that refuses the keys that begin with these names."""

    def known_config(php: Evaluator, arguments: Sequence[Value]) -> Value:
        key = arguments[0] if arguments else None
        if not isinstance(key, bytes) or b"" in names or key.partition(b".")[0] in names:
            php.refuse("config() of what a provider sets")
        return config(php, arguments)

    return known_config


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

    def prepare(self, events: Sequence[BroadcastEvent]) -> None:
        """What the models of these events have in common is read at once, for a second at most; what was
        read for others before is forgotten."""
        records = self._known.records
        records.end_batch()
        if len(events) < 2:
            return
        records.begin_batch()
        by_version: dict[Version, list[BroadcastEvent]] = {}
        for event in events:
            by_version.setdefault(event.version, []).append(event)
        for version, group in by_version.items():
            with contextlib.suppress(BridgeError):  # each event will meet it by itself
                self.of(version).prepare(group)
