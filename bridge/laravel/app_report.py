"""How the app is set up, as far as native evaluation builds on it: `AppReport`.

The booted app itself says it (`jobs/resolve/rungs/report.php`, read by `report_from_php`), or it is read from
the source of everything that the app runs when it boots (`bridge.laravel.boot_source`). A fact that cannot be
imitated is a `Reason`, which refuses what it concerns: every event, every model, one model, some values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.errors import Refused
from bridge.laravel.config import Config
from bridge.laravel.config_values import Array, Unknowable, Value, array_key
from bridge.laravel.packages import is_harmless
from bridge.phpeval.laravel.support.time_zones import zone_info

CARBON = "Illuminate\\Support\\Carbon"
IMMUTABLE = "Carbon\\CarbonImmutable"

JOB_PROCESSING = "Illuminate\\Queue\\Events\\JobProcessing"
_HYDRATED = "Illuminate\\Log\\Context\\Events\\ContextHydrated"
_CONNECTED = "Illuminate\\Database\\Events\\ConnectionEstablished"
_BEFORE_JOBS = {JOB_PROCESSING, "Illuminate\\Queue\\Events\\JobPopped", _HYDRATED}
_ELOQUENT = "Illuminate\\Database\\Eloquent\\"
_READING = ("retrieved", "booting", "booted")
_RESOURCES = tuple(
    f"Illuminate\\Http\\Resources\\Json\\{name}"
    for name in ("JsonResource", "ResourceCollection", "AnonymousResourceCollection")
)
# Sections of PHP's report without which nothing can be relied on.
_NEEDED = (
    "places", "macros", "morphs", "models", "listeners", "dates", "container", "config",
)  # fmt: skip
_INI = {"precision": ("14",), "serialize_precision": ("-1",), "default_charset": ("UTF-8", "utf-8")}
# What stands in the container → what is refused where that is not Laravel's own.
_STANDING = {
    "events": "every event", "Illuminate\\Contracts\\Bus\\Dispatcher": "every event",
    "Illuminate\\Queue\\CallQueuedHandler": "every event", "broadcasting": "every event",
    "db": "models", "db.factory": "models", "encrypter": "encrypted",
}  # fmt: skip
OLD_PHP = "the app runs on PHP 7, whose rules are others"
_PUSHER = "Illuminate\\Broadcasting\\Broadcasters\\PusherBroadcaster"
# Options of a database connection that say which rows are read, and how.
_CONNECTING = (
    "driver", "url", "host", "port", "unix_socket", "database", "username", "password", "prefix", "charset",
    "collation", "options", "timezone", "modes", "strict", "sql_mode", "schema", "search_path", "read",
    "write", "sticky", "isolation_level",
)  # fmt: skip
_UNKNOWN = "\0"  # key of what stands for a value that is no plain one


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something is left to PHP, and where that stands (`line` from 1; 0 without one)."""

    text: str
    file: str = ""
    line: int = 0

    def refused(self) -> Refused:
        return Refused(self.text, file=self.file, line=self.line)

    def __str__(self) -> str:
        return str(self.refused())


@dataclass(frozen=True, slots=True, kw_only=True)
class AppReport:
    """What the app decides outside of any event.

    said_by      the booted app (`php`), or its source
    php          PHP's major and minor, None where it is not known
    laravel      the framework's version, as it says itself
    zone         PHP's time zone, None for the configured one
    time_zones   names of those that it has, None where these are not known
    sets_locale  whether the app's language may be another than the configured one
    date_class   the class of dates that Laravel makes
    config       all configuration as the booted app has it; None: as its files say, but
    sets_config  top-level names that the app sets while it boots: of these nothing is known
    open_config  whether there may be names that no file of the app has
    everything   reasons to leave every event to PHP
    models       reasons to leave every event with rows of models to PHP
    encrypted    why encrypted attributes cannot be read
    lazy, missing, morphs, snake, snake_attributes  as in `bridge.phpeval.laravel.eloquent.casts.Surroundings`
    hooks        model class → what changes its reading, also of the classes that extend it
    scopes       model class → a global scope that it got from outside
    connections  database connection → why no rows are read from it
    files        files that this rests on, as paths from the app's root
    roots        what `url()` and `asset()` begin with, as the booted app has it; None: as the configuration
    urls         why no addresses can be made
    language     the booted app's language, and the one that it falls back to; None: as the configuration
    lines        why nothing can be translated
    queries      why no local scope is known
    notes        what else is worth knowing, a sentence each
    """

    said_by: Literal["php", "source"]
    php: tuple[int, int] | None = None
    laravel: str | None = None
    zone: str | None = None
    time_zones: frozenset[str] | None = field(default=None, repr=False)
    sets_locale: bool = False
    date_class: str = CARBON
    config: Array | None = field(default=None, repr=False)
    sets_config: frozenset[bytes] = frozenset()
    open_config: bool = False
    everything: tuple[Reason, ...] = ()
    models: tuple[Reason, ...] = ()
    encrypted: Reason | None = None
    lazy: Reason | None = None
    missing: Reason | None = None
    morphs: Reason | None = None
    snake: Reason | None = None
    snake_attributes: bool = True
    hooks: Mapping[str, Reason] = field(default_factory=dict)
    scopes: Mapping[str, Reason] = field(default_factory=dict)
    connections: Mapping[str, Reason] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    roots: tuple[str, str] | None = None
    urls: Reason | None = None
    language: tuple[str, str] | None = None
    lines: Reason | None = None
    queries: Reason | None = None
    notes: tuple[str, ...] = ()

    def summary(self) -> Iterator[str]:
        """The report in a few lines."""
        who = "the booted app" if self.said_by == "php" else "the app's source"
        php = ".".join(map(str, self.php)) if self.php else "not known"
        dates = "" if self.date_class == CARBON else f", dates are {self.date_class}"
        zone = f", {self.zone}" if self.zone else ""
        laravel = f"Laravel {self.laravel}, " if self.laravel else ""
        yield f"{who} says: {laravel}PHP {php}{zone}{dates}"
        for reason in self.everything:
            yield f"every event: {reason}"
        for reason in self.models:
            yield f"every event with models: {reason}"
        for what, one in (
            ("encrypted attributes", self.encrypted),
            ("lazy loading", self.lazy),
            ("missing attributes", self.missing),
            ("morph relations", self.morphs),
            ("names in arrays", self.snake),
            ("addresses", self.urls),
            ("translations", self.lines),
            ("local scopes", self.queries),
        ):
            if one is not None:
                yield f"{what}: {one}"
        for name, reason in self.hooks.items():
            yield f"{name}: {reason}"
        yield from map(str, self.scopes.values())
        for name, reason in self.connections.items():
            yield f"database connection {name}: {reason}"
        yield from self.notes


def report_from_php(report: Mapping[str, Any], config: Config) -> AppReport:
    """The report of a PHP process; `config` is what the app's files say."""
    found = _Found()
    unread = _mapping(report.get("unread"))
    for section in _NEEDED:
        if section in unread or (not report.get(section) and section not in _MAY_BE_EMPTY):
            why = unread.get(section, "it says nothing")
            found.everything.append(Reason(text=f"the app cannot tell its {section} ({why})"))
    php = _mapping(report.get("php"))
    _php(php, found)
    places, dates = _mapping(report.get("places")), _mapping(report.get("dates"))
    zone = _zone(places.get("zone"), found)
    _models(_mapping(report.get("models")), found)
    _listeners(report.get("listeners"), found)
    _container(_mapping(report.get("container")), found)
    for class_name in _RESOURCES:
        for name, by in _mapping(_mapping(report.get("macros")).get(class_name)).items():
            if _mapping(by).get("of") != "framework":
                found.everything.append(_by(f"resources have the macro {name}()", by))
    booted = _config(report.get("config"), found)
    if booted is not None:
        _compare(booted, config, found)
    version = php.get("id")
    locale = config.get("app.locale")
    roots = _roots(_mapping(report.get("urls")))
    language = _language(_mapping(report.get("translations")))
    return AppReport(
        said_by="php",
        php=(version // 10_000, version // 100 % 100) if isinstance(version, int) else None,
        laravel=report["laravel"] if isinstance(report.get("laravel"), str) else None,
        zone=zone,
        time_zones=frozenset(_texts(places.get("zones"))) or None,
        sets_locale=places.get("locale") != locale or dates.get("locale") != locale,
        date_class=_dates(dates, found),
        config=booted,
        everything=tuple(found.everything),
        models=tuple(found.models),
        encrypted=found.encrypted,
        morphs=_morphs(_mapping(report.get("morphs")), found),
        lazy=found.lazy,
        missing=found.missing,
        snake_attributes=found.snake_attributes,
        hooks=found.hooks,
        scopes=found.scopes,
        connections=found.connections,
        files=tuple(_texts(report.get("files"))),
        roots=roots,
        urls=None if roots else Reason(text="the app makes addresses in its own way"),
        language=language,
        queries=_queries(_mapping(report.get("macros"))),
        lines=None if language else Reason(text="the app translates in its own way"),
        notes=tuple(found.notes) + tuple(_notes(report, unread)),
    )


_MAY_BE_EMPTY = {"macros", "listeners"}


@dataclass(slots=True)
class _Found:
    everything: list[Reason] = field(default_factory=list)
    models: list[Reason] = field(default_factory=list)
    encrypted: Reason | None = None
    lazy: Reason | None = None
    missing: Reason | None = None
    snake_attributes: bool = True
    hooks: dict[str, Reason] = field(default_factory=dict)
    scopes: dict[str, Reason] = field(default_factory=dict)
    connections: dict[str, Reason] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, concerns: str, reason: Reason) -> None:
        if concerns == "encrypted":
            self.encrypted = self.encrypted or reason
        else:
            (self.models if concerns == "models" else self.everything).append(reason)


def _php(php: Mapping[str, Any], found: _Found) -> None:
    if isinstance(php.get("id"), int) and php["id"] < 80_000:
        found.everything.append(Reason(text=OLD_PHP))
    ini = _mapping(php.get("ini"))
    for name, usual in _INI.items():
        if ini.get(name) not in usual:
            found.everything.append(Reason(text=f"PHP's setting {name} is {ini.get(name)!r}"))
    if php.get("encoding") != "UTF-8" or php.get("substitute") != ord("?"):
        found.everything.append(Reason(text="PHP's multibyte functions work on another encoding than UTF-8"))
    locales = dict(part.partition("=")[::2] for part in str(php.get("locale", "C")).split(";"))
    number = locales.get("LC_NUMERIC", next(iter(locales), "C") if len(locales) == 1 else "C")
    if number not in ("C", "POSIX", "C.UTF-8"):
        found.everything.append(Reason(text=f"the app sets PHP's locale of numbers to {number}"))


def _zone(name: object, found: _Found) -> str | None:
    if isinstance(name, str):
        try:
            return zone_info(name).key
        except Refused:
            found.everything.append(Reason(text=f"the app's time zone {name} is not known here"))
    return None


def _models(models: Mapping[str, Any], found: _Found) -> None:
    found.snake_attributes = models.get("snake_attributes") is not False
    if models.get("encrypter"):
        found.encrypted = Reason(text=f"models encrypt with {models['encrypter']}")
    if models.get("lazy") or models.get("eager"):
        what = "preventLazyLoading" if models.get("lazy") else "automaticallyEagerLoadRelationships"
        found.lazy = Reason(text=f"the app calls {what}()")
    if models.get("missing"):
        found.missing = Reason(text="the app calls preventAccessingMissingAttributes()")
    if models.get("json"):
        found.models.append(Reason(text="the app reads and writes JSON of models in its own way"))
    if models.get("language") not in (None, "english"):
        found.models.append(Reason(text=f"names of tables are made in {models['language']}"))
    if models.get("uncountable"):
        found.models.append(Reason(text="the app has words of its own that have no plural, Pluralizer"))
    for what, call in (("drivers", "Connection::resolverFor()"), ("extensions", "DB::extend()")):
        if models.get(what):
            names = ", ".join(map(str, _list(models[what])))
            found.models.append(Reason(text=f"the app has database connections of its own, {call}: {names}"))
    resolver = _mapping(models.get("resolver"))
    if resolver and resolver.get("of") != "framework":
        found.models.append(_by("models get their connections from a class of the app", resolver))
    for class_name, names in _mapping(models.get("relations")).items():
        text = f"the app has resolveRelationUsing(), which adds {', '.join(map(str, _list(names)))}"
        found.hooks[class_name] = Reason(text=text)
    for class_name, names in _mapping(models.get("scopes")).items():
        text = f"{class_name} has the global scope {', '.join(map(str, _list(names)))}"
        found.scopes[class_name] = Reason(text=text)


def _listeners(listeners: object, found: _Found) -> None:
    for one in _list(listeners):
        event, of = str(one.get("event")), str(one.get("of"))
        if of in ("framework", "bridge") or is_harmless(of):
            continue
        pattern = one.get("pattern")
        if event in _BEFORE_JOBS:
            short = event.rsplit("\\", 1)[-1]
            heard = short if pattern is None else f"{short} as {pattern}"
            found.everything.append(_by(f"a listener of {heard} runs before every job", one))
        elif event == _CONNECTED:
            found.models.append(_by("a listener changes database connections, or may", one))
        elif event.startswith("eloquent."):
            name, _, class_name = event.removeprefix("eloquent.").partition(": ")
            wild = pattern is not None
            if not wild and name in _READING:
                found.hooks.setdefault(class_name, _by(f"a listener of {event} changes the model", one))
            elif wild and ("*" in name or name in _READING):
                found.models.append(_by(f"a listener of {event} changes models", one))


def _dates(dates: Mapping[str, Any], found: _Found) -> str:
    for name in _list(dates.get("changed")):
        found.everything.append(Reason(text=f"the app changes Carbon's {name}"))
    given = dates.get("class")
    if dates.get("callable") or dates.get("factory") or given not in (None, CARBON, IMMUTABLE):
        found.everything.append(Reason(text="the app makes dates in its own way, Date::use()"))
    return IMMUTABLE if given == IMMUTABLE else CARBON


def _morphs(morphs: Mapping[str, Any], found: _Found) -> Reason | None:
    if morphs.get("identifiers"):
        found.everything.append(Reason(text="the app calls ModelIdentifier::useMorphMap()"))
    if morphs.get("required") or morphs.get("map"):
        return Reason(text="the app has a morph map")
    return None


def _roots(urls: Mapping[str, Any]) -> tuple[str, str] | None:
    root, asset = urls.get("root"), urls.get("asset")
    return (root, asset) if isinstance(root, str) and isinstance(asset, str) else None


def _language(found: Mapping[str, Any]) -> tuple[str, str] | None:
    locale, fallback = found.get("locale"), found.get("fallback") or ""
    plain = found.get("plain") is True and isinstance(locale, str) and isinstance(fallback, str)
    return (str(locale), str(fallback)) if plain else None


def _queries(macros: Mapping[str, Any]) -> Reason | None:
    for class_name, named in macros.items():
        if class_name == f"{_ELOQUENT}Builder" or class_name.startswith(f"{_ELOQUENT}Relations\\"):
            for name, by in _mapping(named).items():
                if _mapping(by).get("of") != "framework":
                    return _by(f"queries have the macro {name}()", by)
    return None


def _container(container: Mapping[str, Any], found: _Found) -> None:
    standing = _mapping(container.get("standing"))
    for name, concerns in _STANDING.items():
        one = _mapping(standing.get(name))
        if name == "encrypter" and one.get("class") is None:
            continue  # it has no key: nothing is encrypted
        if one.get("of") not in ("framework", "bridge") and (one or name != "db.factory"):
            short = name.rsplit("\\", 1)[-1]
            found.add(concerns, _by(f"{one.get('class')} stands in the container for {short}", one))
    for name, one in _mapping(container.get("broadcasters")).items():
        if _mapping(one).get("class") != _PUSHER:
            text = f"the broadcast connection {name} is served by the app's own {_mapping(one).get('class')}"
            found.everything.append(_by(text, one))
    if container.get("pipes"):
        found.everything.append(Reason(text="the app calls Bus::pipeThrough(): its code runs around jobs"))
    for name in _list(container.get("handlers")):
        if str(name).startswith("Illuminate\\Broadcasting\\"):
            found.everything.append(Reason(text=f"the app has a handler of its own for {name}"))


# ---- configuration ------------------------------------------------------------------------------


def _config(text: object, found: _Found) -> Array | None:
    try:
        value = _option(json.loads(text)) if isinstance(text, str) else None
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    found.everything.append(Reason(text="the app cannot tell its configuration"))
    return None


def _option(value: Any) -> Value:
    if isinstance(value, list):
        return {at: _option(one) for at, one in enumerate(value)}
    if isinstance(value, dict):
        if _UNKNOWN in value:
            return Unknowable("the booted app has an object there", "")
        return {array_key(key): _option(one) for key, one in value.items()}
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return Unknowable("a value of another kind", "")


def _compare(booted: Array, config: Config, found: _Found) -> None:
    """Where the booted app has another configuration than its files, on which bridge itself builds."""
    running = Config(items=booted, files={}, overrides={})

    def differs(key: str) -> bool:
        if key in config.overrides:
            return False
        return _differ(config.get(key), running.get(key))

    def reason(key: str) -> Reason:
        return Reason(text=f"the booted app has set {key} to something else than its files say")

    keys = ["broadcasting.default"]
    keys += [f"broadcasting.connections.{name}.driver" for name in _names(config, "broadcasting.connections")]
    found.everything += [reason(key) for key in keys if differs(key)]
    if differs("database.default"):
        found.models.append(reason("database.default"))
    there = running.get("database.connections")
    for name in _names(config, "database.connections"):
        if isinstance(there, dict) and name in there:
            options = [f"database.connections.{name}.{option}" for option in _CONNECTING]
            found.connections |= {str(name): reason(key) for key in filter(differs, options)}
    for key in ("app.key", "app.cipher", "app.previous_keys"):
        if differs(key):
            found.add("encrypted", reason(key))


def _names(config: Config, key: str) -> Sequence[int | str]:
    value = config.get(key)
    return tuple(value) if isinstance(value, dict) else ()


def _differ(ours: Value, theirs: Value) -> bool:
    """Whether they are certainly not the same; what our reading does not know is nobody's difference."""
    if isinstance(ours, Unknowable) or (ours in (None, {}) and theirs in (None, {})):
        return False
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() != theirs.keys() or any(_differ(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, dict) or isinstance(theirs, dict | Unknowable):
        return True
    return type(ours) is not type(theirs) or ours != theirs


# ---- reading ------------------------------------------------------------------------------------


def _notes(report: Mapping[str, Any], unread: Mapping[str, Any]) -> Iterator[str]:
    for section, why in unread.items():
        if section not in _NEEDED:
            yield f"the app cannot tell its {section} ({why})"
    keepers = sorted(
        {str(one.get("class") or one.get("file")) for one in _list(report.get("payloads"))
         if one.get("of") != "framework"}
    )  # fmt: skip
    if keepers:
        yield f"payloads of jobs are added to by {', '.join(keepers)}"


def _by(text: str, one: Any) -> Reason:
    held = _mapping(one)
    name, file = held.get("class"), str(held.get("file") or "")
    line = held.get("line")
    who = f"{text} ({name})" if name and str(name) not in text and not file else text
    return Reason(text=who, file=file, line=line if isinstance(line, int) else 0)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [one for one in _list(value) if isinstance(one, str)]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
