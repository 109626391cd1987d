"""The options of one connection, each where Laravel takes it from.

A `url` overrides the options beside it (`Support/ConfigurationUrlParser.php`); `write` overrides both, as for
Laravel's own writes. Of several hosts the first counts, where Laravel takes any.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from bridge.laravel.config import Config

_DRIVER_ALIASES = {
    "mysql2": "mysql", "postgres": "pgsql", "postgresql": "pgsql", "sqlite3": "sqlite", "redis": "tcp",
    "rediss": "tls",
}  # fmt: skip
_WORDS: dict[str, str | None] = {"null": None, "true": "1", "false": ""}


class Options:
    """The options of one connection, each where Laravel takes it from: `write`, `url`, the option itself."""

    def __init__(self, config: Config, key: str) -> None:
        self._config = config
        self._key = key
        url = config.text(key) if isinstance(config.get(key), str) else config.text(f"{key}.url")
        self._url = parse_url(url, config, key) if url else {}

    def text(self, name: str) -> str | None:
        written = self._config.get(f"{self._key}.write")
        if isinstance(written, dict):
            place = f"{self._key}.write.0.{name}" if 0 in written else f"{self._key}.write.{name}"
            if self._config.get(place) is not None:
                return self._one(place)
        return self._url[name] if name in self._url else self._one(f"{self._key}.{name}")

    def _one(self, place: str) -> str | None:
        """The text there, or the first of several."""
        several = isinstance(self._config.get(place), dict)
        return self._config.text(f"{place}.0" if several else place)

    def integer(self, name: str) -> int | None:
        return whole(self._config, f"{self._key}.{name}", self.text(name))


def whole(config: Config, key: str, text: str | None) -> int | None:
    """The number that was written at `key`; None where it is empty."""
    if text and not text.strip().isdecimal():
        raise config.error(key, "is not a number", remedy="write digits only")
    return int(text) if text else None


def parse_url(url: str, config: Config, key: str) -> dict[str, str | None]:
    """Options by name. The URL's words `null`, `true`, `false` are PHP values, as Laravel reads them."""
    try:
        parts = urlsplit(re.sub(r"^(sqlite3?):///", r"\1://null/", url))
        found = {
            "driver": _DRIVER_ALIASES.get(parts.scheme, parts.scheme) or None,
            "host": parts.hostname and unquote(parts.hostname),
            "port": str(parts.port) if parts.port else None,
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "database": unquote(parts.path)[1:] if parts.path not in ("", "/") else None,
        }
    except ValueError:
        raise config.error(f"{key}.url", "is not a URL", remedy="percent-encode its password") from None
    found = {name: _WORDS.get(value, value) for name, value in found.items() if value is not None}
    if found.get("driver") in ("tcp", "tls"):
        found["scheme"] = found["driver"]
    query = {name: _WORDS.get(value, value) for name, value in parse_qsl(parts.query, keep_blank_values=True)}
    return {name: value for name, value in found.items() if value is not None} | query
