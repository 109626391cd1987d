"""Checks of how the app broadcasts: its connection, where it posts, who may listen."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from bridge.doctor.subject import ExaminedApp, Finding, Found, found
from bridge.errors import BridgeError, ServiceUnavailable
from bridge.phpeval.laravel.files import read_file
from bridge.phpeval.php.parse.declarations import is_comment
from bridge.serve.apps_table import read_rows

SILENT = ("log", "null")
SERVED = ("pusher", "reverb")
_AUTH_ROUTES = re.compile(
    rb"\bBroadcast\s*::\s*routes\s*\(|\bwithBroadcasting\s*\(|\bchannels\s*:|['\"]/?broadcasting/auth"
)
_PROVIDER = "App\\Providers\\BroadcastServiceProvider"


def connection(subject: ExaminedApp) -> Found:
    """Checks that events that name no connection go to one that bridge serves, and its app is complete."""
    broadcasting = subject.laravel.broadcasting()
    default = broadcasting.connections.get(broadcasting.default)
    name = "BROADCAST_CONNECTION (BROADCAST_DRIVER before Laravel 11)"
    where = subject.laravel.config.where("broadcasting.default")
    if default is None and broadcasting.default != "null":
        yield Finding(
            what=f"the default broadcast connection {broadcasting.default} is not configured",
            where=where,
            remedy=f"set {name} to pusher or reverb, or add that connection",
        )
    elif default is None or default.driver in SILENT:
        yield Finding(
            what=f"the default broadcast connection is {broadcasting.default}: events go nowhere",
            where=where,
            remedy=f"set {name} to pusher or reverb",
        )
    elif default.driver not in SERVED:
        yield Finding(
            what=f"the default broadcast connection has the driver {default.driver}, no Pusher server",
            where=where,
            remedy=f"set {name} to pusher or reverb",
        )
    subject.settings.apps()
    for other, host in subject.settings.elsewhere().items():
        yield Finding(
            what=f"the broadcast connection {other} is of the server {host}: only PHP can send there",
            where=subject.laravel.config.where(f"broadcasting.connections.{other}"),
            remedy="keep php_binary set, or list the connection's app as [[apps]] in bridge.toml",
            hint=True,
        )


def apps_table(subject: ExaminedApp) -> Found:
    """Every row of `[apps_table]` is an app. What cannot be read ends the start of `bridge serve`."""
    settings = subject.settings
    if settings.apps_table is None:
        return
    try:
        problems: Sequence[BridgeError] = read_rows(settings.apps(), settings, settings.apps_table)[1]
    except ServiceUnavailable as outage:
        problems = [outage]
    for problem in problems:
        yield found(problem, remedy="correct [apps_table] in bridge.toml, or make the table")


def posts(subject: ExaminedApp) -> Found:
    """Checks that what Laravel sends itself (ShouldBroadcastNow, queue:work, Broadcast::) comes here too."""
    config = subject.laravel.config
    settings = subject.settings
    broadcasting = subject.laravel.broadcasting()
    for one in broadcasting.connections.values():
        if one.driver not in SERVED or not one.key or config.partial:
            continue
        prefix, key = one.driver.upper(), f"broadcasting.connections.{one.name}.options"
        host, port, scheme = (config.get(f"{key}.{name}") for name in ("host", "port", "scheme"))
        where = f"{config.where(key)}, options of {one.name}"
        if host is None or (isinstance(host, str) and (not host or host.endswith("pusher.com"))):
            yield Finding(
                what=f"{one.name} has no host: what Laravel posts itself goes to Pusher's own servers",
                where=where,
                remedy=f"set {prefix}_HOST; on Laravel 8 also write host, port and scheme into the options",
                hint=one.name != broadcasting.default,
            )
            continue
        if not isinstance(host, str) or not _is_loopback(host) or settings.port == 0:
            continue  # through a proxy, or not known: nothing can be said
        if str(port) != str(settings.port):
            yield Finding(
                what=f"{one.name} posts to port {port} here, and bridge listens on {settings.port}",
                where=where,
                remedy=f"set {prefix}_PORT={settings.port}, or bridge's port to {port}",
            )
        elif scheme in ("http", "https") and (scheme == "https") != subject.speaks_tls:
            speaks = "TLS" if subject.speaks_tls else "plain HTTP"
            yield Finding(
                what=f"{one.name} posts by {scheme}, and bridge speaks {speaks} on that port",
                where=where,
                remedy=f"set {prefix}_SCHEME={'https' if subject.speaks_tls else 'http'}",
            )


def routes(subject: ExaminedApp) -> Found:
    """Checks that private channels have /broadcasting/auth, and code that says who may listen."""
    if not subject.has_code:
        return
    closed = ("private-", "presence-")
    events = subject.events or ()
    is_open = not any(channel.startswith(closed) for event in events for channel in event.channels)
    if not (subject.path / "routes/channels.php").is_file():
        yield Finding(
            what="routes/channels.php is missing: nobody can listen on a private or presence channel",
            where="routes/channels.php",
            remedy="php artisan install:broadcasting from Laravel 11, else take the file of a fresh app",
            hint=is_open,
        )
    provider = subject.path / "app/Providers/BroadcastServiceProvider.php"
    if provider.is_file() and not _is_registered(subject):
        yield Finding(
            what="BroadcastServiceProvider is not registered, so there is no /broadcasting/auth",
            where="config/app.php, providers",
            remedy=f"take {_PROVIDER}::class out of its comment, or list it in bootstrap/providers.php",
            hint=is_open,
        )
    elif not any(_calls(subject)):
        yield Finding(
            what="nothing makes the route /broadcasting/auth, without which no private channel opens",
            where="app/Providers, routes, bootstrap/app.php",
            remedy="call Broadcast::routes() in a provider, or withBroadcasting() in bootstrap/app.php",
            hint=is_open,
        )


def _is_registered(subject: ExaminedApp) -> bool:
    listed = subject.laravel.config.get("app.providers")
    if isinstance(listed, dict) and _PROVIDER in listed.values():
        return True
    files = ("config/app.php", "bootstrap/providers.php", "bootstrap/app.php")
    return any(
        _mentions(subject, file, rb"\bBroadcastServiceProvider\s*::\s*class", own=True) for file in files
    )


def _mentions(subject: ExaminedApp, file: str, pattern: bytes, *, own: bool = False) -> bool:
    """Whether code, not a comment, has the pattern; `own`: of the app's namespace."""
    try:
        text = read_file(subject.path / file)
    except OSError:
        return False
    for match in re.finditer(pattern, text):
        framework = own and text[: match.start()].endswith(b"Illuminate\\Broadcasting\\")
        if not framework and not is_comment(text, file, match.start()):
            return True
    return False


def _calls(subject: ExaminedApp) -> Iterator[bool]:
    for folder in ("app/Providers", "routes", "bootstrap"):
        for file in sorted((subject.path / folder).rglob("*.php")):
            yield _mentions(subject, subject.relative(file), _AUTH_ROUTES.pattern)


def origins(subject: ExaminedApp) -> Found:
    """Checks that the app's own pages may connect."""
    allowed = subject.settings.allowed_origins
    address = subject.laravel.config.get("app.url")
    host = urlsplit(address).hostname if isinstance(address, str) else None
    if not allowed or not host or _is_loopback(host):
        return
    if not any(_fits(host, entry) for entry in allowed):
        yield Finding(
            what=f"allowed_origins does not let in {host}, the host of APP_URL",
            where=subject.settings.origins.get("allowed_origins", ""),
            remedy=f'add "{host}" to it',
        )


def _fits(host: str, entry: str) -> bool:
    entry = (urlsplit(entry).hostname or "") if "://" in entry else entry.partition(":")[0]
    if entry.startswith("*."):
        return host.endswith(entry[1:])
    return entry in ("*", host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
