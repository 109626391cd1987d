"""`"${NAME}"` in bridge.toml: a text that stands in `.env`, or in the app's configuration, and only there."""

from __future__ import annotations

import re
from typing import Any

from bridge.errors import ConfigurationError
from bridge.laravel.application import LaravelApp

_REFERENCE = re.compile(r"\$\{(?:([A-Z][A-Z0-9_]*)|([a-z]\w*(?:\.\w+)+))\}")


def resolved(value: Any, laravel: LaravelApp, where: str, key: str = "") -> Any:
    """The value with every reference in it replaced; texts that are no reference as a whole stay.

    `${NAME}` is a variable of the environment or `.env`, `${websockets.apps.0.secret}` a key of the app's
    configuration. ConfigurationError where there is no such thing; no value is shown.
    """
    if isinstance(value, dict):
        return {name: resolved(one, laravel, where, _below(key, name)) for name, one in value.items()}
    if isinstance(value, list):
        return [resolved(one, laravel, where, f"{key}[{at}]") for at, one in enumerate(value)]
    if not isinstance(value, str) or not (found := _REFERENCE.fullmatch(value)):
        return value
    variable, config = found.groups()
    text = (
        laravel.env.get(variable, laravel.dotenv.get(variable)) if variable else laravel.config.text(config)
    )
    if not text:
        raise ConfigurationError(
            key,
            f"is {value}, which is not set",
            where=where,
            remedy=f"set {variable or config}, or write the text",
        )
    return text


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
