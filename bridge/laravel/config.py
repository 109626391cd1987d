"""The app's configuration: `config/*.php` or its cached form, over Laravel's own defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.laravel.config_file import Place, evaluate
from bridge.laravel.config_values import Array, Unknowable, Value, array_key, to_int, to_php, to_string
from bridge.laravel.defaults import FRAMEWORK_FILES, MERGED_OPTIONS, framework_config
from bridge.phpeval.php.runtime.values import Value as PhpValue

_NOWHERE = Unknowable("there is no such key", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Answers dotted keys as Laravel's `config()` does; its values never show in a repr.

    items      top-level name → options
    files      top-level name → the file that it was read from
    overrides  dotted key → value that the user put in place of the app's
    cached     whether it was read from `bootstrap/cache/config.php`
    partial    whether a missing top-level name may exist in the app all the same (a folder with `.env` only)
    defaults   names under which Laravel has options of its own that are not in `items`
    """

    items: Array = field(repr=False)
    files: Mapping[str, str]
    overrides: Mapping[str, Value] = field(repr=False)
    cached: bool = False
    partial: bool = False
    defaults: frozenset[str] = frozenset()

    def get(self, key: str, default: Value = None) -> Value:
        """The value at `a.b.c`, `default` where there is none, Unknowable where only PHP knows."""
        if key in self.overrides:
            return self.overrides[key]
        value: Value = self.items
        for depth, segment in enumerate(key.split(".")):
            if isinstance(value, Unknowable):
                return default if self._is_overridden_beside(key) else value
            if not isinstance(value, dict) or (at := array_key(segment)) not in value:
                return self._missing(key, depth) or default
            value = value[at]
        return value

    def php_value(self, key: str) -> PhpValue:
        """The value as evaluated code holds it. KeyError where there is none, Refused where only PHP could
        tell it, or something in it."""
        found = self.get(key, _NOWHERE)
        if found is _NOWHERE:
            raise KeyError(key)
        return to_php(found)

    def text(self, key: str) -> str | None:
        """The value as text; None where it is missing or null. ConfigurationError where it is not known."""
        value = self._known(key)
        if isinstance(value, dict):
            raise self.error(key, "is an array", remedy="write a text there")
        return None if value is None else to_string(value)

    def integer(self, key: str) -> int | None:
        """The value as a whole number; None where it is missing, null or empty."""
        text = self.text(key)
        if not text:
            return None
        if not text.strip().removeprefix("-").isdecimal():
            raise self.error(key, "is not a whole number", remedy="write digits only")
        return to_int(text)

    def names(self, key: str) -> tuple[str, ...]:
        """The keys of the array at `key`, those of `given` included; none where it is missing."""
        value = self._known(key)
        below = key + "."
        given = (name[len(below) :].split(".")[0] for name in self.overrides if name.startswith(below))
        return tuple(dict.fromkeys([*map(str, value if isinstance(value, dict) else ()), *given]))

    def where(self, key: str) -> str:
        """The file in which the key is, or would be, written."""
        return self.files.get(key.split(".")[0], "Laravel's defaults and .env")

    def error(self, key: str, problem: str, *, remedy: str) -> ConfigurationError:
        return ConfigurationError(key, problem, where=self.where(key), remedy=remedy)

    def _is_overridden_beside(self, key: str) -> bool:
        """Whether the user wrote down other options of the same array: then it is known as a whole."""
        return key.rpartition(".")[0] in {given.rpartition(".")[0] for given in self.overrides}

    def _known(self, key: str) -> str | int | float | bool | Array | None:
        value = self.get(key)
        if isinstance(value, Unknowable):
            raise ConfigurationError(
                key,
                f"cannot be known without PHP, {value.reason}",
                where=f"{value.file}:{value.line}" if value.line else value.file,
                remedy=f'write `"{key}" = …` under [app_config] in bridge.toml',
            )
        return value

    def _missing(self, key: str, depth: int) -> Unknowable | None:
        top = key.split(".")[0]
        if self.partial and depth == 0:
            return Unknowable("the app's folder has no such file", f"config/{top}.php")
        if top in self.defaults and depth < 2:
            return Unknowable("the default of Laravel itself counts", f"config/{top}.php")
        return None


def read_config(
    base: Path,
    env: Mapping[str, str],
    *,
    cache: Path,
    version: tuple[int, ...] | None,
    has_vendor: bool,
    given: Mapping[str, Value],
) -> Config:
    """The configuration of the app in `base`, as a fresh PHP process of Laravel would load it.

    `cache` alone counts if it exists. `version` is Laravel's, None where unknown: then the names in `env`
    tell the generation. `has_vendor`: missing files are the installed framework's, not the skeleton's.
    """
    place = Place(base=str(base), env=env)
    if cache.is_file():
        return _cached(base, cache, place, given)
    generation = version[0] if version else _generation(env)
    hyphens = version is not None and version >= ((13,) if has_vendor else (12, 1))
    items = framework_config(place, generation=generation, hyphens=hyphens)
    folder = base / "config"
    files = {}
    for name, path in _files(folder):
        value = evaluate(path.read_bytes(), str(path), place)
        files[name.split(".")[0]] = str(path)
        if generation >= 11 and isinstance(value, dict):
            value = _merged(name, items.get(name), value)
        _put(items, name.split("."), value)
    return Config(
        items=items,
        files=files,
        overrides=given,
        partial=not folder.is_dir(),
        defaults=FRAMEWORK_FILES if generation >= 11 else FRAMEWORK_FILES - files.keys(),
    )


def _cached(base: Path, cache: Path, place: Place, given: Mapping[str, Value]) -> Config:
    value = evaluate(cache.read_bytes(), str(cache), place)
    if not isinstance(value, dict):
        line = value.line if isinstance(value, Unknowable) else 0
        raise ConfigurationError(
            "the cached configuration",
            "cannot be read",
            where=f"{cache}:{line}" if line else str(cache),
            remedy="make it anew with `php artisan config:cache`, or remove it with `php artisan "
            "config:clear`",
        )
    return Config(items=value, files=dict.fromkeys(map(str, value), str(cache)), overrides=given, cached=True)


def _files(folder: Path) -> Iterable[tuple[str, Path]]:
    """Dotted name and path of each file, folders within it included."""
    for path in sorted(folder.rglob("*.php")):
        if path.is_file():
            yield ".".join(path.relative_to(folder).with_suffix("").parts), path


def _merged(name: str, base: Value, own: Array) -> Array:
    if not isinstance(base, dict):
        return own
    result = base | own
    for option in MERGED_OPTIONS.get(name, ()):
        below, above = base.get(option), own.get(option)
        if isinstance(below, dict) and isinstance(above, dict):
            result[option] = below | above
    return result


def _put(items: Array, path: list[str], value: Value) -> None:
    for segment in path[:-1]:
        inner = items.setdefault(segment, {})
        if not isinstance(inner, dict):
            return
        items = inner
    items[path[-1]] = value


def _generation(env: Mapping[str, str]) -> int:
    """Laravel's major version as far as the names in `.env` tell it; the newest where they do not."""
    if {"BROADCAST_CONNECTION", "CACHE_STORE"} & env.keys():
        return 13
    return 10 if {"BROADCAST_DRIVER", "CACHE_DRIVER"} & env.keys() else 13
