"""Checks of the options that the app's pages give Laravel Echo, against what bridge serves."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from bridge.doctor.javascript import EchoCall, GrammarMissing, PageHost, Unknown, Unset, Value, echo_calls
from bridge.doctor.subject import ExaminedApp, Finding, Found
from bridge.errors import ConfigurationError
from bridge.phpeval.laravel.files import read_file

BROADCASTERS = ("pusher", "reverb")
PROXIED = (80, 443)  # ports behind which a proxy is likely
AUTH = "broadcasting/auth"
CLUSTER_SINCE = 8  # pusher-js throws without a cluster from this version on
STATISTICS_BEFORE = 7  # and sends statistics to Pusher unless told otherwise before this one


def echo(subject: ExaminedApp) -> Found:
    """Checks that each `new Echo` has a key that is served, uses bridge's port, and TLS where bridge does."""
    env = {
        name: value for name, value in subject.laravel.dotenv.items() if name.startswith(("MIX_", "VITE_"))
    }
    try:
        keys = {app.key for app in subject.settings.apps()}
    except ConfigurationError:
        return  # said by another check, and nothing is right then
    client = _client_version(subject)
    try:
        for call in echo_calls(subject.path, env):
            yield from _call(call, subject, keys, client)
    except GrammarMissing as problem:
        yield Finding(
            what=f"the options of Echo were not checked: {problem}",
            where="resources",
            remedy="pip install 'laravel-bridge[doctor]' into bridge's environment, then run this again",
            hint=True,
        )


def _call(call: EchoCall, subject: ExaminedApp, keys: set[str], client: int | None) -> Found:
    where, options = f"{call.file}:{call.line}", call.options
    broadcaster = options.get("broadcaster", Unset())
    if isinstance(broadcaster, str) and broadcaster not in BROADCASTERS:
        yield Finding(
            what=f"Echo's broadcaster is {broadcaster}, which speaks another protocol",
            where=where,
            remedy="write broadcaster: 'pusher', and install pusher-js",
        )
        return
    if not call.whole or isinstance(broadcaster, Unknown) or "client" in options:
        yield Finding(
            what="the options of Echo are put together where they cannot be read",
            where=where,
            remedy="check that key, wsHost, wsPort and forceTLS fit",
            hint=True,
        )
        return
    yield from _key(options.get("key", Unset()), keys, where)
    if client is not None and client < STATISTICS_BEFORE and options.get("disableStats") is not True:
        yield Finding(
            what=f"pusher-js {client} sends statistics to Pusher",
            where=where,
            remedy="write disableStats: true",
            hint=True,
        )
    if broadcaster == "pusher" and (client or CLUSTER_SINCE) >= CLUSTER_SINCE:
        yield from _set(
            "cluster", options.get("cluster", Unset()), where, "pusher-js throws without a cluster"
        )
    yield from _host(options, where, str(broadcaster))
    yield from _port(options, subject, where)
    yield from _auth(options.get("authEndpoint"), subject, where)


def _set(name: str, value: Value, where: str, otherwise: str) -> Found:
    if isinstance(value, Unset) or value is None:
        missing = f", for .env does not set {value.name}" if isinstance(value, Unset) and value.name else ""
        yield Finding(
            what=f"{name} is not set{missing}: {otherwise}",
            where=where,
            remedy=f"set {value.name} in .env and build the pages again"
            if isinstance(value, Unset) and value.name.startswith(("MIX_", "VITE_"))
            else f"write {name}: 'mt1'"
            if name == "cluster"
            else f"write {name}",
        )


def _key(key: Value, keys: set[str], where: str) -> Found:
    yield from _set("key", key, where, "Echo cannot connect")
    if isinstance(key, str) and key not in keys:
        yield Finding(
            what="the key that Echo is given is the key of no app that bridge serves (close code 4001)",
            where=where,
            remedy="give it PUSHER_APP_KEY or REVERB_APP_KEY, and build the pages again",
        )


def _host(options: Mapping[str, Value], where: str, broadcaster: str) -> Found:
    host = options.get("wsHost", options.get("host", Unset()))
    if isinstance(host, Unset) and broadcaster == "reverb" and not host.name:
        return  # Echo takes the page's own
    if (
        isinstance(host, Unset)
        or host in (None, "")
        or (isinstance(host, str) and host.endswith("pusher.com"))
    ):
        named = host.name if isinstance(host, Unset) else ""
        yield Finding(
            what="Echo has no wsHost: it connects to Pusher's own servers"
            + (f" ({named} is not in .env)" if named else ""),
            where=where,
            remedy=f"set {named} in .env and build the pages again"
            if named
            else "write wsHost: location.hostname",
        )


def _port(options: Mapping[str, Value], subject: ExaminedApp, where: str) -> Found:
    settings = subject.settings
    secure = options.get("forceTLS", options.get("encrypted", Unset()))
    ours = subject.speaks_tls
    names = {True: ("wssPort", "wsPort"), False: ("wsPort",)}.get(
        secure if isinstance(secure, bool) else ours, ()
    )
    port = _number(next((options[name] for name in names if name in options), Unset()))
    if settings.port == 0 or port in PROXIED or isinstance(port, Unknown | PageHost):
        return
    if port is None:
        yield Finding(
            what=f"Echo is given no {names[0]}, so it takes {443 if names[0] == 'wssPort' else 80}",
            where=where,
            remedy=f"write {names[0]}: {settings.port}, unless a proxy passes that port on to bridge",
            hint=True,
        )
    elif port != settings.port:
        yield Finding(
            what=f"Echo connects to port {port}, and bridge listens on {settings.port}",
            where=where,
            remedy=f"write {names[0]}: {settings.port}, or give bridge port {port}",
        )
    elif isinstance(secure, bool) and secure != ours:
        yield Finding(
            what="Echo insists on TLS (forceTLS), and bridge has no certificate"
            if secure
            else "Echo connects without TLS (forceTLS is false), and bridge's port speaks TLS only",
            where=where,
            remedy="give bridge ssl_cert and ssl_key, or let a proxy on 443 do TLS, or write forceTLS: false"
            if secure
            else "write forceTLS: true",
        )


def _number(value: Value) -> int | Unknown | PageHost | None:
    if isinstance(value, Unknown | PageHost):
        return value
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return int(value) if isinstance(value, float) else None


def _auth(endpoint: Value | None, subject: ExaminedApp, where: str) -> Found:
    if not isinstance(endpoint, str) or not subject.has_code:
        return
    address = urlsplit(endpoint)
    paths = subject.laravel.config.get("cors.paths")
    if (
        address.hostname
        and isinstance(paths, dict)
        and not any(
            isinstance(path, str)
            and re.fullmatch(re.escape(path.strip("/")).replace(r"\*", ".*"), address.path.strip("/"))
            for path in paths.values()
        )
    ):
        yield Finding(
            what=f"Echo asks another origin to sign ({address.path}), and CORS lets no page at that path",
            where=f"{subject.laravel.config.where('cors')}, paths",
            remedy=f"add '{address.path.strip('/')}' to it",
        )
    elif address.path.strip("/") != AUTH:
        yield Finding(
            what=f"Echo asks {address.path} to sign, not /{AUTH}",
            where=where,
            remedy="see in `php artisan route:list` that it is there: Broadcast::routes takes a prefix",
            hint=True,
        )


def _client_version(subject: ExaminedApp) -> int | None:
    """The major version of pusher-js: as installed, else as package.json asks for."""
    for file, read in (
        ("node_modules/pusher-js/package.json", lambda document: document["version"]),
        ("package.json", lambda document: _wanted(document)),
    ):
        try:
            found = re.search(r"\d+", read(json.loads(read_file(subject.path / file))))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if found:
            return int(found[0])
    return None


def _wanted(document: dict[str, dict[str, str]]) -> str:
    return {**document.get("devDependencies", {}), **document.get("dependencies", {})}["pusher-js"]
