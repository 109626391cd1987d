"""Check of the secrets: nobody can guess them, and none was copied out of a document."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.doctor.subject import ExaminedApp, Finding, Found
from bridge.errors import ConfigurationError
from bridge.secret import Secret

SHORTEST = 16  # characters of a secret that a program makes; Pusher's and Reverb's have 20
SHORTEST_PASSWORD = 10  # of one that a person types
# Out of documents and examples: bridge's own, laravel-websockets', Reverb's, soketi's, Laravel's.
SAMPLES = frozenset((
    "app-secret", "second-secret", "new-secret", "old-secret", "secret", "local", "laravel", "soketi",
    "reverb", "laravel-websockets", "websockets", "pusher", "password", "changeme", "admin", "root", "test",
    "testing", "example", "default", "null", "none",
))  # fmt: skip
_WORDS = r"your|my|app|pusher|reverb|some|the|a|change|me|secret|key|password|example|test|123\d*|[-_ .<>]"
_SAMPLE = re.compile(f"(?:{_WORDS})+", re.IGNORECASE)


def secrets(subject: ExaminedApp) -> Found:
    """Checks that secrets of apps, dashboard and metrics are long, and none is a published example."""
    for name, secret, where, key in _secrets(subject):
        text = secret.reveal()
        shortest = SHORTEST_PASSWORD if name == "dashboard_password" else SHORTEST
        if key and text == key:
            fault = "is its key, which every browser knows"
        elif text.lower() in SAMPLES or _SAMPLE.fullmatch(text) or len(set(text)) < 4:
            fault = "is a sample value, which everybody knows"
        elif len(text) < shortest:
            fault = f"has {len(text)} characters, which can be guessed"
        else:
            continue
        yield Finding(
            what=f"{name} {fault}",
            where=where,
            remedy="take a new one: php -r 'echo bin2hex(random_bytes(20));'",
            hint=subject.laravel.environment in ("local", "testing"),
        )


def _secrets(subject: ExaminedApp) -> Iterator[tuple[str, Secret, str, str]]:
    """What each is called, the secret, where it stands, and the key beside it."""
    settings = subject.settings
    try:
        apps = settings.apps()
    except ConfigurationError:
        apps = ()  # another check says so
    for app in apps:
        where = f"broadcasting.connections.{app.connections[0]}" if app.connections else "[[apps]]"
        yield f"the secret of the app {app.id}", app.secret, where, app.key
        for number, old in enumerate(app.previous_secrets, 1):
            yield f"previous secret {number} of the app {app.id}", old, where, app.key
    for name in ("dashboard_password", "dashboard_link_secret", "metrics_token"):
        secret: Secret | None = getattr(settings, name)
        if secret is not None:
            yield name, secret, settings.origins.get(name, ""), ""
