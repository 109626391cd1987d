"""What the app decides while it boots, read from its source where PHP is not asked: `report_from_source`.

Read are all PHP files of the app (but those of requests and commands, which a worker does not run), and those
of every package whose providers it loads. Calls with effect on events are found by their text: a listener or
a helper class of a provider counts as the provider itself.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import partial

from bridge.errors import Refused
from bridge.laravel.app_report import CARBON, IMMUTABLE, OLD_PHP, AppReport, Reason
from bridge.laravel.packages import FILES, Package, loaded
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.php import ast as n
from bridge.phpeval.php.parse.declarations import is_comment
from bridge.phpeval.php.runtime.class_table import ClassTable

_OF_OTHER_PROCESSES = ("/Http/", "/Console/")
_PROVIDER = re.compile(rb"\bextends\s+\\?[\w\\]*ServiceProvider\b")
# A file without a class is there to be loaded by another.
_DECLARES = re.compile(
    rb"(?:^|[;}\]])[ \t]*(?:(?:final|abstract|readonly)\s+)*(?:class|trait|interface|enum)\s",
    re.MULTILINE | re.IGNORECASE,
)
_BOOT_FOLDERS = ("app/Providers/", "bootstrap/")


@dataclass(frozen=True, slots=True)
class _Rule:
    """`calls` in a file change what `concerns` says: a field of AppReport. `says` gets the text found."""

    concerns: str
    calls: re.Pattern[bytes]
    says: str = "the app calls {}(), which changes every event"


def _rule(concerns: str, calls: bytes, says: str = "the app calls {}(), which changes every event") -> _Rule:
    return _Rule(concerns, re.compile(calls), says)


_MODELS = "the app calls {}(), which changes models"
# Wherever in the app they stand. Spec: real-events, danger 20.
_ANYWHERE = (
    _rule("everything", rb"::\s*(serializeUsing)\s*\("),
    _rule("everything", rb"(\bBus\s*::|\bDispatcher::class\s*\)\s*->)\s*pipeThrough\s*\("),
    _rule("date_class", rb"\b(Date|DateFactory)\s*::\s*use(Class|Callable|Factory)?\s*\("),
    _rule("everything", rb"\bBroadcast\s*::\s*extend\s*\("),
    _rule("everything", rb"\bJobProcessing\b", "the app listens to {}: its code runs before every job"),
    _rule(
        "everything",
        rb"\blisten\s*\(\s*\[?\s*['\"](?P<key>\*|Illuminate\\[\w\\]*\*)",
        "the app listens to {}: its code runs before every job",
    ),
    _rule("everything", rb"\bJobPopped\b", "the app listens to {}: its code runs before every job"),
    _rule("everything", rb"\bQueue\s*::\s*before\s*\(", "the app calls {}(): its code runs before every job"),
    _rule(
        "everything",
        rb"\bContextHydrated\b|\bContext\s*::\s*hydrated\s*\(",
        "the app has {}: its code runs before every job",
    ),
    _rule("everything", rb"\bModelIdentifier\s*::\s*useMorphMap\s*\("),
    _rule(
        "everything",
        rb"(::|->)\s*(setTestNow|setTestNowAndTimezone|setToStringFormat|useMonthsOverflow|useYearsOverflow|"
        rb"setWeekendDays|setWeekStartsAt|setWeekEndsAt|setHumanDiffOptions|enableHumanDiffOption|disableHumanDiffOption)\s*\(",
    ),
    _rule(  # called by a name that is a value
        "everything",
        rb"\b(Carbon|CarbonImmutable|Date)\s*::\s*(\$\w+|\{)\s*\(|"
        rb"['\"](serializeUsing|setToStringFormat|setTestNow|useMonthsOverflow|useYearsOverflow|"
        rb"(Carbon\\+)?Carbon(Immutable)?::\w+)['\"]",
        "the app has {}, which may change every event",
    ),
    _rule(
        "models",
        rb"(->|::)\s*(singleton|bind|scoped|instance|extend)(If)?\s*\(\s*['\"](db(\.\w+)*|events|config|date)['\"]",
        "the app replaces a service of Laravel with {}()",
    ),
    _rule(
        "urls",
        rb"(->|::)\s*(singleton|bind|scoped|instance|extend)(If)?\s*\(\s*(['\"]url['\"]|[\w\\]*UrlGenerator\s*::\s*class)",
        "the app replaces how addresses are made, by {}()",
    ),
    _rule(
        "encrypted",
        rb"(->|::)\s*(singleton|bind|scoped|instance|extend)(If)?\s*\(\s*(['\"]encrypter['\"]|[\w\\]*Encrypter\s*::\s*class)",
        "the app replaces how values are encrypted, by {}()",
    ),
    _rule("everything", rb"Resource(Collection)?\s*::\s*(macro|mixin)\s*\("),
    _rule("models", rb"\bPluralizer\s*::\s*(useLanguage|\$uncountable)", "the app has {}: names of tables"),
    _rule("snake", rb"::\s*\$snakeAttributes\s*=", "the app sets {}"),
    _rule("models", rb"\bJson\s*::\s*(decodeUsing|encodeUsing)\s*\(", _MODELS),
    _rule("models", rb"\bConnection\s*::\s*resolverFor\s*\(|\bDB\s*::\s*extend\s*\(", _MODELS),
    _rule("models", rb"\bConnectionEstablished\b", "the app listens to {}, which changes connections"),
    _rule("models", rb"\beloquent\.(retrieved|booting|booted|\*)", "the app listens to {}: models change"),
    _rule(
        "urls",
        rb"(::|->)\s*(forceScheme|forceHttps|forceRootUrl|useOrigin|useAssetOrigin|formatHostUsing|"
        rb"formatPathUsing|setRequest)\s*\(|\bextends\s+\\?[\w\\]*UrlGenerator\b",
        "the app calls {}(), which changes addresses",
    ),
    _rule("encrypted", rb"::\s*encryptUsing\s*\(", "the app calls {}()"),
    _rule(
        "lazy",
        rb"::\s*(shouldBeStrict|preventLazyLoading|automaticallyEagerLoadRelationships)\s*\(",
        "the app calls {}()",
    ),
    _rule("missing", rb"::\s*(shouldBeStrict|preventAccessingMissingAttributes)\s*\(", "the app calls {}()"),
    _rule(
        "morphs",
        rb"::\s*(morphMap\s*\(\s*[^)\s]|enforceMorphMap\s*\(|requireMorphMap\s*\(|\$morphMap\s*(\[|=))",
        "the app has a morph map, {}",
    ),
)
_LINES = _rule(
    "lines",
    rb"(::|->)\s*(useLangPath|addLines|addJsonPath|loadJsonTranslationsFrom|determineLocalesUsing|"
    rb"handleMissingKeysUsing|setLoaded|setFallback|setSelector)\s*\(|"
    rb"\bextends\s+\\?[\w\\]*(Translator|FileLoader)\b|\b(Translator|Loader)::class|"
    rb"\bLang\s*::\s*(addPath|macro|mixin)|"
    # Lines have no namespace where the second argument is null, as it is by default from Laravel 11 on.
    rb"\bloadTranslationsFrom\s*\((?!(?:[^;()]|\([^;()]*\))*,\s*['\"][\w.-]+['\"]\s*,?\s*\))|"
    # Of packages that build on spatie/laravel-package-tools: it loads JSON.
    rb"->\s*hasTranslations\s*\(\s*\)|"
    rb"['\"](translator|translation\.loader|path\.lang)['\"]|"
    rb"(?m:^)[ \t]*function\s+(__|trans|trans_choice)\s*\(",
    "the app has {}, which changes translations",
)
_QUERIES = _rule(
    "queries",
    rb"\b\w*(Builder|Relation|HasOne\w*|HasMany\w*|BelongsTo\w*|MorphOne|MorphMany|MorphTo\w*)\s*::\s*(macro|mixin)\s*\(",
    "the app calls {}(), which adds methods to queries",
)
# In providers and bootstrap files only: elsewhere such calls are for a request or a single job.
_BOOTING = (
    _rule("everything", rb"::\s*(pipeThrough)\s*\("),
    _rule(
        "everything",
        rb"\b(date_default_timezone_set|setlocale|mb_internal_encoding|mb_substitute_character)\s*\(|"
        rb"\bini_set\s*\(\s*['\"]((serialize_)?precision|default_charset|internal_encoding|mbstring\.\w+)|"
        rb"\b(setDefaultConnection|setDefaultDriver)\s*\(",
    ),
    _rule(
        "everything",
        rb"(\bconfig\s*\(\s*\[[^\]]*?|\bConfig\s*::\s*set\s*\(\s*|->\s*set\s*\(\s*)"
        rb"['\"](?P<key>app\.(timezone|locale|fallback_locale|key|cipher|previous_keys)|broadcasting|database)\b",
        "the app sets the configuration {} while it boots",
    ),
    _rule(
        "urls",
        rb"->\s*(server|headers)\s*->\s*(set|add|replace)\s*\(|"
        rb"\$_SERVER\s*\[\s*['\"](HTTPS|HTTP_HOST|SERVER_NAME|SERVER_PORT|SCRIPT_NAME|REQUEST_URI)\b",
        "the app has {} while it boots, which may change addresses",
    ),
)
# Hooks on the reading of a model, from outside of its class; those in its class are seen by ModelFacts.
_HOOK = re.compile(rb"(\$?\w+)\s*::\s*(retrieved|addGlobalScopes?|resolveRelationUsing)\s*\(")
_OBSERVING = re.compile(rb"::\s*observe\s*\(|\$observers\b")
_HEARS_READING = re.compile(rb"\bfunction\s+retrieved\s*\(", re.IGNORECASE)
_LOCALE = re.compile(rb"\bsetLocale\s*\(|['\"]setLocale['\"]", re.IGNORECASE)
_LOCALE_OF_ANY = re.compile(
    rb"(->|::)\s*setLocale\s*\(|['\"]setLocale['\"]", re.IGNORECASE
)  # a provider may call what has it
# Configuration that no file has: of these names `config()` knows nothing.
_SETS_CONFIG = re.compile(
    rb"\bconfig\s*\(\s*\[|\bConfig\s*::\s*(set|push|prepend)\s*\(|\bmergeConfigFrom\s*\(|\bhasConfigFiles?\s*\(|"
    rb"(\bconfig\s*\(\s*\)|\bconfig['\"]\s*[\])])\s*->\s*(set|push|prepend)\s*\("
)
_CONFIG_NAME = re.compile(rb"['\"]([\w-]+)")
_IMPORT = re.compile(rb"(?:;|<\?php)\s*use\s+\\?\w+\\")
_RENAMED = re.compile(rb"\s+as\b")
_OTHER_NAME = re.compile(rb"\sas\s+(\w+)\s*[;,}]")
_LAST_WORD = re.compile(rb"\w+$")
# What every file with one of the calls above has in it.
_MARKS = re.compile(
    rb"serializeUsing|pipeThrough|\bDate(Factory)?\s*::|Broadcast\s*::|JobProcessing|JobPopped|Queue\s*::|"
    rb"[hH]ydrated|useMorphMap|set(TestNow|ToStringFormat)|use(Months|Years)|setWeek|HumanDiff|Resource(Collection)?\s*::|"
    rb"(Carbon\w*|Date)\s*::\s*[${]|Carbon::|(singleton|bind|scoped|instance|extend)(If)?\s*\(|"
    rb"Pluralizer|snakeAttributes|decodeUsing|encodeUsing|resolverFor|DB\s*::|ConnectionEstablished|eloquent\.|"
    rb"encryptUsing|shouldBeStrict|preventLazy|automaticallyEager|preventAccessing|[mM]orphMap|"
    rb"force(Scheme|Https|RootUrl)|use(Asset)?Origin|format(Host|Path)Using|setRequest|UrlGenerator|"
    rb"useLangPath|addLines|[jJ]son(Path|Translations)|determineLocales|handleMissing|setLoaded|setFallback|"
    rb"setSelector|Translator|FileLoader|Loader::class|Lang\s*::|translat(or|ion\.)|path\.lang|function\s+(__|trans)|"
    rb"loadTranslationsFrom|hasTranslations|[sS]et[lL]ocale|macro|mixin|listen\s*\(|retrieved|addGlobalScope|resolveRelationUsing|observe|ServiceProvider"
)


@dataclass(slots=True)
class _Found:
    everything: list[Reason] = field(default_factory=list)
    models: list[Reason] = field(default_factory=list)
    one: dict[str, Reason] = field(default_factory=dict)
    dates: list[tuple[str, Reason]] = field(default_factory=list)
    observing: bool = False
    hearing: list[Reason] = field(default_factory=list)  # matter where something observes
    sets_locale: bool = False
    sets_config: set[bytes] = field(default_factory=set)
    open_config: bool = False

    def add(self, concerns: str, reason: Reason) -> None:
        if concerns == "everything":
            self.everything.append(reason)
        elif concerns == "models":
            self.models.append(reason)
        else:
            self.one.setdefault(concerns, reason)

    def merge(self, other: _Found) -> None:
        self.everything += other.everything
        self.models += other.models
        self.one = {**other.one, **self.one}
        self.dates += other.dates
        self.observing = self.observing or other.observing
        self.hearing += other.hearing
        self.sets_locale = self.sets_locale or other.sets_locale
        self.sets_config |= other.sets_config
        self.open_config = self.open_config or other.open_config


def report_from_source(source: AppSource) -> AppReport:
    """Reads the report from the source; what the source does not say refuses what it concerns."""
    found = _Found()
    if source.php_platform is not None and source.php_platform < (8, 0):
        found.everything.append(Reason(text=OLD_PHP))
    for file in source.boot_files():
        _read(source, file, found, boots=file.startswith(_BOOT_FOLDERS) or not source.is_autoloaded(file))
    _read(source, "bootstrap/cache/events.php", found, boots=False)
    source.watch(FILES)
    for package in loaded(source.path, source.is_own):
        found.merge(source.kept(package.name, partial(_package, source, package)))
    if found.observing:
        found.models += found.hearing
    date_class = _date_class(source, found)
    return AppReport(
        said_by="source",
        php=source.php_platform,
        sets_locale=found.sets_locale,
        date_class=date_class,
        sets_config=frozenset(found.sets_config),
        open_config=found.open_config,
        everything=tuple(found.everything),
        models=tuple(found.models),
        encrypted=found.one.get("encrypted"),
        lazy=found.one.get("lazy"),
        missing=found.one.get("missing"),
        morphs=found.one.get("morphs"),
        snake=found.one.get("snake"),
        urls=found.one.get("urls"),
        lines=found.one.get("lines"),
        queries=found.one.get("queries"),
    )


def _package(source: AppSource, package: Package) -> _Found:
    """What a package that the app loads does when it boots."""
    found = _Found()
    if package.is_tenancy:
        text = f"the package {package.name} chooses the database by the tenant of a job"
        found.everything.append(Reason(text=text))
    elif package.folder is None:
        found.open_config = True
        found.add("lines", Reason(text=f"the source of the package {package.name} is not there"))
        if not package.is_harmless:
            text = f"the source of the package {package.name}, which may change models, is not there"
            found.models.append(Reason(text=text))
    else:
        files = [source.file_of(name) for name in package.providers]
        found.open_config = None in files
        for file in filter(None, files):
            with contextlib.suppress(Refused):
                provider = source.text(file, watch=False)
                _read_config(provider, found, package.name)
                texts = _by_either_name(provider)
                for rule in (_LINES, _QUERIES):
                    for reason in _reasons(rule, texts, file):
                        found.add(rule.concerns, reason)
        if found.open_config:
            found.add("lines", Reason(text=f"a provider of the package {package.name} is not there"))
        if not package.is_harmless:
            for file in source.package_files(package.folder):
                _read(source, file, found, boots=False, watch=False)
    return found


def _read(source: AppSource, file: str, found: _Found, *, boots: bool, watch: bool = True) -> None:
    try:
        text = source.text(file, watch=watch)
    except Refused as problem:
        found.everything.append(Reason(text=problem.reason, file=file))
        return
    texts = _by_either_name(text)
    if not boots and not any(map(_MARKS.search, texts)):
        return
    boots = boots or any(map(_PROVIDER.search, texts)) or not _DECLARES.search(text)
    if not boots and any(part in f"/{file}" for part in _OF_OTHER_PROCESSES):
        return
    for rule in (*_ANYWHERE, _LINES, _QUERIES):
        for reason in _reasons(rule, texts, file):
            if rule.concerns == "date_class":
                found.dates.append((file, reason))
            else:
                found.add(rule.concerns, reason)
    found.models += _hooks(text, file)
    found.hearing += _matches(text, file, _HEARS_READING, "the app has {}(), which changes models")
    found.sets_locale = found.sets_locale or _LOCALE_OF_ANY.search(text) is not None
    if not boots:
        return
    for rule in _BOOTING:
        found.everything += _reasons(rule, texts, file)
    found.observing = found.observing or _OBSERVING.search(text) is not None
    found.sets_locale = found.sets_locale or _LOCALE.search(text) is not None
    _read_config(text, found, "")


def _by_either_name(text: bytes) -> tuple[bytes, ...]:
    """The text; and where it imports classes under other names, a second one that calls them by their own."""
    own = text
    for match in _OTHER_NAME.finditer(text):
        name = _LAST_WORD.search(text[max(0, match.start() - 200) : match.start()].rstrip())
        if name is not None:
            # The name stands first: texts without it are passed over quickly.
            used = rb"%b(?:(?<=extends %b)\b|(?<=[^\w\\$>]%b)(?=\s*::))".replace(b"%b", match[1])
            own = re.sub(used, name[0], own)
    return (text,) if own == text else (text, own)


def _reasons(rule: _Rule, texts: tuple[bytes, ...], file: str) -> list[Reason]:
    found = (list(_matches(text, file, rule.calls, rule.says)) for text in texts)
    return next(filter(None, found), [])


def _matches(text: bytes, file: str, calls: re.Pattern[bytes], says: str) -> Iterator[Reason]:
    for match in calls.finditer(text):
        if not _is_import(text, match) and not is_comment(text, file, match.start()):
            yield _reason(says, match, text, file)


def _is_import(text: bytes, match: re.Match[bytes]) -> bool:
    """Whether it stands in a `use` statement, which says nothing by itself unless it gives another name."""
    statement = text[max(text.rfind(b";", 0, match.start()), text.rfind(b"<?php", 0, match.start())) :]
    found = _IMPORT.match(statement)
    return found is not None and not _RENAMED.match(text, match.end())


def _reason(says: str, match: re.Match[bytes], text: bytes, file: str) -> Reason:
    what = match.groupdict().get("key") or match[0].partition(b"(")[0].strip(b":[= ")
    call = " ".join(what.decode("ascii", "replace").split())
    return Reason(text=says.format(call), file=file, line=_line(text, match))


def _line(text: bytes, match: re.Match[bytes]) -> int:
    return text.count(b"\n", 0, match.start()) + 1


def _hooks(text: bytes, file: str) -> Iterator[Reason]:
    """Hooks on the reading of models that stand outside of a model."""
    own = {b"static", b"self", b"parent", file.rpartition("/")[2].removesuffix(".php").encode()}
    boots = b"static function boot" in text  # then its `$class::` may be the model's own
    for match in _HOOK.finditer(text):
        if match[1] in own or (boots and match[1].startswith(b"$")) or is_comment(text, file, match.start()):
            continue
        yield _reason("the app has {}(), which changes models", match, text, file)


def _read_config(text: bytes, found: _Found, package: str) -> None:
    """Names of configuration that a provider sets while the app boots; an empty one for any."""
    for match in _SETS_CONFIG.finditer(text):
        names = _CONFIG_NAME.findall(text[match.end() : text.find(b";", match.end())])
        if package and not names:
            short = package.rpartition("/")[2]
            names = [short.encode(), short.removeprefix("laravel-").encode()]
        found.sets_config.update(names or [b""])


# ---- Date::use(CarbonImmutable::class) ----------------------------------------------------------


def _date_class(source: AppSource, found: _Found) -> str:
    """The class of dates, where a provider certainly says which; else every event is refused."""
    if not found.dates:
        return CARBON
    for file, reason in found.dates:
        if len(found.dates) > 1 or not _uses_immutable(source, file):
            found.everything.append(reason)
    return IMMUTABLE


def _uses_immutable(source: AppSource, file: str) -> bool:
    """Whether the provider of that file calls `Date::use(CarbonImmutable::class)` whenever it boots."""
    try:
        declared = source.parse(file)
    except Refused:
        return False
    classes = ClassTable(source.load)
    return any(_runs(one, ("register", "boot"), classes, _is_use_of_immutable) for one in declared.values())


def _runs(
    declared: n.ClassDeclaration,
    methods: tuple[str, ...],
    classes: ClassTable,
    wanted: Callable[[n.Expression], bool],
    seen: frozenset[str] = frozenset(),
) -> bool:
    """Whether one of the methods certainly evaluates such an expression, also through `$this->other()`."""
    for name in methods:
        method = declared.methods.get(name.lower())
        if method is None or name in seen:
            continue
        try:
            body = classes.body(method)
        except Refused:
            continue
        for statement in itertools.takewhile(lambda one: not _may_leave(one), body):
            match statement:
                case n.Evaluate(expression=n.MethodCall(object=n.Variable(name="this"), name=str(other))):
                    if _runs(declared, (other,), classes, wanted, seen | {name}):
                        return True
                case n.Evaluate(expression=expression) if wanted(expression):
                    return True
    return False


def _may_leave(part: object) -> bool:
    """Whether a method may end in this part of it."""
    if isinstance(part, tuple):
        return any(map(_may_leave, part))
    if isinstance(part, n.Return | n.ThrowExpression):
        return True
    if not isinstance(part, n.Node) or isinstance(part, n.Closure):
        return False
    return any(_may_leave(getattr(part, one.name)) for one in fields(part))


def _is_use_of_immutable(node: n.Expression) -> bool:
    match node:
        case n.StaticCall(
            class_name=str(name), name="use" | "useClass", arguments=(n.Argument(value=value),)
        ):
            return name.rsplit("\\", 1)[-1] in ("Date", "DateFactory") and _is_immutable(value)
    return False


def _is_immutable(node: n.Expression) -> bool:
    """Whether it is `CarbonImmutable::class`, or that as text."""
    match node:
        case n.ClassConstant(class_name=str(name), name="class"):
            return name == IMMUTABLE
        case n.Literal(value=bytes() as text):
            return text.decode("utf-8", "replace").lstrip("\\") == IMMUTABLE
    return False
