"""The Environment of `phpeval.php.runtime.interpreter` for one app and one Laravel release."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from bridge.errors import BridgeError, Refused
from bridge.laravel.app_report import AppReport, Reason
from bridge.laravel.boot_source import report_from_source
from bridge.laravel.config_values import Array
from bridge.laravel.language_files import LanguageFiles
from bridge.phpeval.laravel import object_conversions as objects
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.laravel.eloquent.casts import EloquentOptions
from bridge.phpeval.laravel.eloquent.model import ModelClass
from bridge.phpeval.laravel.eloquent.model_methods import METHODS
from bridge.phpeval.laravel.eloquent.prefetch import read_ahead
from bridge.phpeval.laravel.eloquent.reader import Records
from bridge.phpeval.laravel.eloquent.relations import BUILDER, RELATION_CLASSES, RelationClass
from bridge.phpeval.laravel.framework_classes import EXCEPTIONS, MODEL, framework_class
from bridge.phpeval.laravel.support.attribute import ATTRIBUTE, AttributeClass
from bridge.phpeval.laravel.support.channel import CHANNEL, CHANNELS, ChannelClass
from bridge.phpeval.laravel.support.exception import ExceptionClass
from bridge.phpeval.laravel.support.resource import RESOURCE, RESOURCE_CLASSES
from bridge.phpeval.laravel.support.translations import TRANSLATION_CLASSES, TRANSLATION_FUNCTIONS
from bridge.phpeval.laravel.support.urls import ADDRESSES
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.interpreter import Function, Interpreter, Native, ReferenceFunction
from bridge.phpeval.php.runtime.values import PhpObject, Value

log = logging.getLogger(__name__)

_CONFIG = ("Config", "Illuminate\\Support\\Facades\\Config")


EXCEPTION = ExceptionClass()


def native_classes(version: Version) -> dict[str, Native]:
    """Classes written in Python, by name; models and resources of the app are found by their parent."""
    return {
        **dict.fromkeys(CHANNELS, ChannelClass()),
        **dict.fromkeys((*RELATION_CLASSES, BUILDER), RelationClass()),
        **dict.fromkeys(EXCEPTIONS, EXCEPTION),
        **RESOURCE_CLASSES,
        ATTRIBUTE: AttributeClass(version),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedEnvironment:
    """What is the same for every release.

    functions, constants  by name
    natives               classes written in Python that depend on the app (its clock, zone, locale)
    records, connection   the app's database, and the name of its default connection
    zone                  `app.timezone`
    decrypt               opens an `encrypted` attribute
    language              `app.locale`, and `app.fallback_locale`; None where these are not known
    booted                gets configuration and time zone as the booted app has them; functions and natives
                          as above that use these
    """

    functions: Mapping[str, Function | ReferenceFunction]
    constants: Mapping[str, Value]
    native_classes: Mapping[str, Native]
    records: Records
    connection: str
    zone: ZoneInfo
    decrypt: Callable[[bytes], bytes]
    language: tuple[str, str] | None
    booted: Callable[[Array, str], tuple[Mapping[str, Function | ReferenceFunction], Mapping[str, Native]]]


class AppEnvironment:
    """An `interpreter.Environment`. Make a new one when the app's source, or the report, has changed.

    `report`: how the app is set up; None: what its source says.
    """

    def __init__(
        self, source: AppSource, version: Version, known: SharedEnvironment, report: AppReport | None = None
    ) -> None:
        self.report = report = report or report_from_source(source)
        source.watch(report.files)
        self.version = version
        self.php_version = report.php
        self.functions = known.functions
        self.constants = known.constants
        self.classes = ClassTable(self._load)
        self._source = source
        self._natives: dict[str, Native | None] = {**native_classes(version), **known.native_classes}
        zone = ZoneInfo(report.zone) if report.zone else known.zone
        around = EloquentOptions(
            zone=zone,
            decrypt=_refusing(report.encrypted) or known.decrypt,
            version=version,
            date_class=report.date_class,
            snake_attributes=report.snake_attributes,
            lazy=_refused(report.lazy),
            missing=_refused(report.missing),
            morphs=_refused(report.morphs),
            snake=_refused(report.snake),
            models=next(map(Reason.refused, report.models), None),
            hooks={name: reason.refused() for name, reason in report.hooks.items()},
            queries=_refused(report.queries),
            scopes={name: reason.refused() for name, reason in report.scopes.items()},
        )
        refused = {name: reason.refused() for name, reason in report.connections.items()}
        if known.connection in refused:
            refused[""] = refused[known.connection]
        known.records.refused = refused
        self._models = ModelClass(known.records, around, known.connection, objects.to_array, METHODS)
        if report.config is not None:
            functions, more = known.booted(report.config, zone.key)
            self.functions = {**self.functions, **functions}
            self._natives |= more
        elif report.sets_config or report.open_config:
            config = self.functions["config"]
            listed = source.config_names() if report.open_config else None
            known_config = _without(report.sets_config, listed, config)  # type: ignore[arg-type]
            self.functions = {**self.functions, "config": known_config}
            self._natives |= dict.fromkeys(_CONFIG)
        self.date_class = report.date_class
        self.time_zones = report.time_zones
        self.url_roots = report.roots
        self.no_urls = _refused(report.urls)
        if report.config is None and not report.sets_config.isdisjoint((b"", b"app")):
            self.no_urls = Refused("no address is made natively where a provider sets the configuration app")
        self._language = report.language or known.language
        self._lines: LanguageFiles | Refused | None = _refused(report.lines)
        sets = report.sets_locale or not report.sets_config.isdisjoint((b"", b"app"))
        if report.said_by == "source" and sets:
            self._lines = Refused(
                "nothing is translated natively where a provider sets the app's language, or may"
            )
        # Whether the app's language is more than `app.locale`: then no sentence can be written here.
        self.sets_locale = report.sets_locale

    @property
    def lines(self) -> LanguageFiles | Refused:
        """The app's language files, read when the first of them is asked for."""
        if self._lines is None and self._language is None:
            self._lines = Refused("nothing is translated natively where the app's language is not known")
        if self._lines is None and self._language is not None:
            try:
                self._lines = LanguageFiles(self._source, *self._language)
            except Refused as refusal:
                self._lines = refusal
        return self._lines  # type: ignore[return-value]  # set just now

    def withheld(self, name: str) -> Refused | None:
        """Why this function or class of Laravel is not evaluated in an app that is set up like this one."""
        if name in ADDRESSES:
            return self.no_urls
        if name not in TRANSLATION_FUNCTIONS and name not in TRANSLATION_CLASSES:
            return None
        lines = self.lines
        return lines if isinstance(lines, Refused) else None

    def native(self, class_name: str) -> Native | None:
        if class_name not in self._natives:
            self._natives[class_name] = self._by_ancestor(class_name)
        return self._natives[class_name]

    def jsonable(self, held: PhpObject, php: Interpreter) -> Value:
        """What stands in JSON for an object of Laravel's own."""
        return objects.jsonable(held, php)

    def _by_ancestor(self, class_name: str) -> Native | None:
        """Classes of the app that build on one written in Python."""
        if self.classes.find(class_name) is not None:
            for ancestor, native in (
                (MODEL, self._models),
                (RESOURCE, RESOURCE_CLASSES[RESOURCE]),
                (CHANNEL, self._natives[CHANNEL]),
                ("Throwable", EXCEPTION),
            ):
                if self.classes.is_a(class_name, ancestor):
                    return native
        return None

    def restore_model(self, identifier: PhpObject, php: Interpreter) -> Value:
        """See `ModelClass.restore`."""
        return self._models.restore(identifier, php)

    def prepare(self, identifiers: Iterable[PhpObject]) -> None:
        """Reads what these models have in common at once. Raises ServiceUnavailable."""
        read_ahead(self._models, new_evaluator(self), identifiers)

    def keeps_default(self, static_property: str) -> bool:
        """Whether nothing in the app could have changed a static property of that name."""
        return not self._source.mentions_static(static_property)

    def lacks(self, class_name: str) -> bool:
        """Whether it is a class of the app's own folders, and none of their files has it."""
        return self._source.is_own(class_name) and self.classes.find(class_name) is None

    def require_unmodified_framework(self) -> None:
        """Raises Refused where the app does what no event's class shows, and concerns every event."""
        for reason in self.report.everything:
            raise reason.refused()

    def _load(self, class_name: str) -> n.ClassDeclaration | None:
        return framework_class(class_name, self.version) or self._source.load(class_name)


def _refused(reason: Reason | None) -> Refused | None:
    return None if reason is None else reason.refused()


def _refusing(reason: Reason | None) -> Callable[[bytes], bytes] | None:
    if reason is None:
        return None

    def refuse(_: bytes) -> bytes:
        raise reason.refused()

    return refuse


def _without(names: frozenset[bytes], listed: frozenset[bytes] | None, config: Function) -> Function:
    """`config()` that refuses the keys that begin with these names, and those with names not `listed`."""

    def known_config(php: Interpreter, arguments: Sequence[Value]) -> Value:
        key = arguments[0] if arguments else None
        if not isinstance(key, bytes) or b"" in names or (top := key.partition(b".")[0]) in names:
            php.refuse("config() of what a provider sets")
        if listed is not None and top not in listed:
            php.refuse("config() of what a package sets, or may")
        return config(php, arguments)

    return known_config


class EnvironmentCache:
    """The environment of each release, made anew when one of its files, or the app's report, has changed.

    `clock` in seconds, monotonic: files are looked at once a second at most. `report` gives what the booted
    app says of itself, None where it cannot be asked; True asks it anew.
    """

    def __init__(
        self,
        source: AppSource,
        known: SharedEnvironment,
        clock: Callable[[], float],
        report: Callable[[bool], AppReport | None] = lambda anew: None,
    ) -> None:
        self._source = source
        self._known = known
        self._clock = clock
        self._ask = report
        self._report: AppReport | None = None
        self._reported: set[str] = set()
        self._looked_at = clock()
        self._environments: dict[Version, AppEnvironment] = {}
        self.generation = 0  # another number once the source has changed

    def of(self, version: Version) -> AppEnvironment:
        now = self._clock()
        changed = False
        if now - self._looked_at >= 1.0:
            self._looked_at = now
            changed = self._source.changed()
        report = self._ask(changed)
        if changed or (report is not self._report and report != self._report):
            self._environments.clear()
            self.generation += 1
        self._report = report
        if version not in self._environments:
            environment = AppEnvironment(self._source, version, self._known, report)
            self._environments[version] = environment
            self._log_report(environment.report)
        return self._environments[version]

    def _log_report(self, report: AppReport) -> None:
        """Logs each reason that the app gives to leave events to PHP, each once."""
        for what, reasons in (("every event", report.everything), ("events with models", report.models)):
            for reason in reasons:
                if str(reason) not in self._reported:
                    self._reported.add(str(reason))
                    about = {"action": "app_report", "concerns": what, "why": str(reason)}
                    log.warning("not evaluated natively", extra=about)

    def prepare(self, events: Sequence[tuple[Version, Sequence[PhpObject]]]) -> None:
        """What the models of these events (release, identifiers) have in common is read at once, for a second
        at most; what was read for others before is forgotten."""
        records = self._known.records
        records.end_batch()
        if len(events) < 2:
            return
        records.begin_batch()
        by_version: dict[Version, list[PhpObject]] = {}
        for version, identifiers in events:
            by_version.setdefault(version, []).extend(identifiers)
        for version, found in by_version.items():
            with contextlib.suppress(BridgeError):  # each event will meet it by itself
                self.of(version).prepare(found)
