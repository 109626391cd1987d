"""Where to listen, known before the rest of the settings and of the program is read.

Imports next to nothing: the port is to listen within 0.3 seconds of the start.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.errors import ConfigurationError
from bridge.laravel.dotenv import convert, read_dotenv
from bridge.settings.checks import read_value
from bridge.settings.table import SETTINGS, Setting


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """The settings `host`, `port` and `listen_from`."""

    host: str
    port: int
    listen_from: str | None


def listen_address(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    app_dir: Path | str | None = None,
    config_file: Path | str | None = None,
) -> ListenAddress | None:
    """What `load_settings` will say of it, given the same; None where that takes more than these files.

    So it is where the port may stand in the app's own configuration. Raises ConfigurationError as
    `load_settings` does, which may see another fault first.
    """
    base = Path(app_dir or environ.get("BRIDGE_APP") or ".")
    _, toml = read_toml(base, config_file or environ.get("BRIDGE_CONFIG"))
    dotenv = {**environ, **read_dotenv(base.resolve(), environ)}
    by_name = {setting.name: setting for setting in SETTINGS}
    found: dict[str, Any] = {}
    for name in ("host", "port", "listen_from"):
        setting = by_name[name]
        given = (value for value in _given(setting, flags, environ, toml, dotenv) if value is not None)
        value = next(given, None)
        if isinstance(value, str) and "${" in value:  # a reference, perhaps into the configuration
            return None
        if value is None and setting.app_keys and _may_be_configured(base, environ, toml):
            return None
        found[name] = setting.default if value is None else read_value(setting.read, value, name, "")
    return ListenAddress(**found)


def _given(
    setting: Setting,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    toml: Mapping[str, object],
    dotenv: Mapping[str, str],
) -> Iterator[object]:
    """As `load_settings` asks, but for the app's configuration."""
    yield flags.get(setting.name)
    yield environ.get(setting.variable) or None
    yield toml.get(setting.name)
    for name in (setting.variable, *setting.app_variables):
        yield convert(dotenv.get(name) or "null")


def _may_be_configured(base: Path, environ: Mapping[str, str], toml: Mapping[str, object]) -> bool:
    """Whether a value may stand in config/websockets.php, or in what stands for it."""
    cache = base / (environ.get("APP_CONFIG_CACHE") or "bootstrap/cache/config.php")
    overrides = "app_config" in toml or bool(environ.get("BRIDGE_APP_CONFIG"))
    return overrides or cache.exists() or any(base.glob("config/websockets*"))


def read_toml(base: Path, named: Path | str | None) -> tuple[Path | None, dict[str, Any]]:
    """Path and content; None and nothing where there is none."""
    path = Path(named or base / "bridge.toml")
    if not path.is_file():
        if named:
            raise ConfigurationError("--config", f"names no file: {named}", remedy="correct the path")
        return None, {}
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            "bridge.toml",
            f"cannot be read ({error.strerror})",
            where=str(path),
            remedy="let this user read it",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        line = str(error).rpartition(" (")[2].rstrip(")") if "(at " in str(error) else "not UTF-8"
        if isinstance(error, RecursionError):
            line = "it is nested too deep"
        raise ConfigurationError(
            "bridge.toml", f"is not TOML, {line}", where=str(path), remedy="see https://toml.io"
        ) from None
