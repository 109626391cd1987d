"""The OpenAPI document of the HTTP API, made of the table of endpoints; served at `/openapi.json`.

Lengths and sizes are the default limits: an app may have others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from bridge import __version__
from bridge.sockets.pusher.signatures import CLOCK_SKEW
from bridge.sockets.server.signed_endpoint import REFUSAL_MEANINGS, Endpoint, Page, Schema

APP_ID: Schema = {"type": "string", "pattern": "^[^/]+$"}

_SIGNATURE = {
    "auth_key": "The app's key.",
    "auth_timestamp": f"Seconds since 1970, within {CLOCK_SKEW} of the server's clock.",
    "auth_version": "1.0",
    "auth_signature": "Lower-case hex HMAC-SHA256, with the app's secret, of method, path and sorted query.",
    "body_md5": "Lower-case hex MD5 of the body; where there is one.",
}


def document(endpoints: Iterable[Endpoint], pages: Iterable[Page]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        operations = paths.setdefault("/apps/{app_id}" + endpoint.path, {})
        operations[endpoint.method.lower()] = _signed(endpoint)
    for page in pages:
        paths[page.path] = {"get": _open(page)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bridge",
            "version": __version__,
            "description": "Pusher's HTTP API. Errors are one line of plain text. Limits are the defaults.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                name: {"type": "apiKey", "in": "query", "name": name, "description": meaning}
                for name, meaning in _SIGNATURE.items()
            },
        },
    }


def _signed(endpoint: Endpoint) -> dict[str, Any]:
    path = "/apps/{app_id}" + endpoint.path
    signed_with = [name for name in _SIGNATURE if endpoint.body is not None or name != "body_md5"]
    operation: dict[str, Any] = {
        **_named(endpoint.serve),
        "parameters": [
            _parameter("path" if f"{{{name}}}" in path else "query", name, schema)
            for name, schema in {"app_id": APP_ID, **endpoint.parameters}.items()
        ],
        "security": [{name: [] for name in signed_with}],
        "responses": {
            "200": _answer("Done.", "application/json", endpoint.answer),
            **{str(status): _answer(meaning, "text/plain") for status, meaning in REFUSAL_MEANINGS.items()},
        },
    }
    if endpoint.body is not None:
        content = {"application/json": {"schema": endpoint.body}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _open(page: Page) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", page.path)
    return {
        **_named(page.serve),
        "parameters": [_parameter("path", name, APP_ID) for name in names],
        "responses": {
            str(status): _answer(meaning, kind) for status, (meaning, kind) in page.answers.items()
        },
    }


def _named(serve: Callable[..., Any]) -> dict[str, Any]:
    summary, _, rest = (serve.__doc__ or "").partition("\n")
    return {"operationId": serve.__name__, "summary": summary, "description": " ".join(rest.split())}


def _parameter(place: str, name: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _answer(meaning: str, kind: str, schema: Schema | None = None) -> dict[str, Any]:
    schema = schema or ({"type": "object"} if kind == "application/json" else {"type": "string"})
    return {"description": meaning, "content": {kind: {"schema": schema}}}
