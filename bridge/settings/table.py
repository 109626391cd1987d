"""The table of settings: name, kind, default, meaning, and what means the same in the app."""

from __future__ import annotations

import ipaddress
import json
import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from bridge.errors import UsageError
from bridge.phpeval.laravel.version import parse_version
from bridge.secret import Secret
from bridge.sockets.pusher import origins
from bridge.sockets.pusher.app import ACTIVITY_TIMEOUT, MAX_BACKLOG, STALL_TIMEOUT, Limits


class InvalidValue(ValueError):
    """The value is not of its kind; the text completes `must be …`."""


Reader = Callable[[object], Any]


def text(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise InvalidValue("a text")


def words(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) and item.strip() for item in items):
        raise InvalidValue("names with commas between them, or a list of texts")
    return tuple(item.strip() for item in items)


def origin_rules(value: object) -> tuple[str, ...]:
    rules = words(value)
    for rule in rules:
        try:
            origins.read(rule)
        except ValueError:
            raise InvalidValue(
                f"hosts or origins such as *.example.com, https://example.com; not {rule}"
            ) from None
    return rules


def networks(value: object) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(word)) for word in words(value))
    except ValueError:
        raise InvalidValue("addresses or networks such as 127.0.0.1, 10.0.0.0/8") from None


def switch(value: object) -> bool:
    word = value.strip().lower() if isinstance(value, str) else value
    for answer, names in ((True, ("true", "1", "yes", "on")), (False, ("false", "0", "no", "off"))):
        if word is answer or word in names:
            return answer
    raise InvalidValue("true or false")


_SERVED = ("app", "apps", "up", "ready", "metrics", "openapi.json")  # what the page may not stand before


def _whole(least: int, most: int | None = None) -> Reader:
    def read(value: object) -> int:
        digits = isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal()
        number = int(str(value)) if digits or (isinstance(value, int) and not isinstance(value, bool)) else -1
        if number < least or (most is not None and number > most):
            raise InvalidValue(f"a whole number from {least}" + ("" if most is None else f" to {most}"))
        return number

    return read


def seconds(value: object) -> float:
    try:
        number = -1.0 if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < 1e9:
        raise InvalidValue("a number of seconds")
    return number


LONGEST_GRACE = 300  # seconds; a member who is away for longer has left


def _grace(value: object) -> float:
    grace = seconds(value)
    if grace > LONGEST_GRACE:
        raise InvalidValue(f"a number of seconds up to {LONGEST_GRACE}")
    return grace


def _delays(value: object) -> tuple[int, ...]:
    """Whole seconds: one number, or several with commas between them."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    try:
        return tuple(round(seconds(part)) for part in parts)
    except InvalidValue:
        raise InvalidValue("seconds, or several with commas between them") from None


def _level(value: object) -> str:
    levels = ("debug", "info", "warning", "error")
    if isinstance(value, str) and value.strip().lower() in levels:
        return value.strip().lower()
    raise InvalidValue(f"one of {', '.join(levels)}")


def _log_format(value: object) -> str:
    if isinstance(value, str) and value.strip().lower() in ("text", "json"):
        return value.strip().lower()
    raise InvalidValue("text or json")


def _trust(value: object) -> str:
    if isinstance(value, str) and value.strip().lower() in ("earned", "proven"):
        return value.strip().lower()
    raise InvalidValue("earned or proven")


def _legacy_dashboard(value: object) -> str:
    if str(value).strip().lower() in ("1", "2", "off"):
        return str(value).strip().lower()
    raise InvalidValue("1, 2 or off")


def _secret(value: object) -> Secret:
    return Secret(text(value))


def _recipients(value: object) -> tuple[Secret, ...]:
    """Addresses hold secrets, so they are some."""
    found = words(value)
    for address in found:
        if not re.fullmatch(r"mailto:[^\s@]+@[^\s@]+|(slack:)?https?://[^\s/?#]+\S*", address, re.ASCII):
            raise InvalidValue(
                "addresses such as https://example.com/hook, slack:https://hooks.slack.com/…,"
                " mailto:ops@example.com"
            )
    return tuple(map(Secret, found))


def _address(value: object) -> str:
    if re.match(r"https?://[^/?#]+(/[^?#]*)?\Z", address := text(value)):
        return address
    raise InvalidValue("an address such as http://127.0.0.1:6002")


def _gate(value: object) -> str:
    if re.match(r"https?://[^/?#\s@]+(/[^\s]*)?\Z", address := text(value)):
        return address
    raise InvalidValue("an address such as https://example.com/bridge")


def _timezone(value: object) -> str:
    try:
        return zoneinfo.ZoneInfo(text(value)).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidValue("a time zone such as Europe/Berlin") from None


def _prefix(value: object) -> str:
    """`/ws`, however many slashes are around it; empty: none."""
    path = "" if value == "" else text(value).strip().strip("/")
    if not re.fullmatch(r"[-A-Za-z0-9._~/]*", path) or "//" in path:
        raise InvalidValue("a path such as /ws")
    return f"/{path}" if path else ""


def _page(value: object) -> str:
    path = text(value)
    parts = path.strip("/").split("/")
    if parts[0] in _SERVED or not all(re.fullmatch(r"[\w~-][\w.~-]*", part, re.ASCII) for part in parts):
        raise InvalidValue(f"a path of letters, digits and -, that does not begin with {', '.join(_SERVED)}")
    return path


def _version(value: object) -> str:
    version = str(value) if isinstance(value, int | float) else text(value)
    try:
        parse_version(version)
    except UsageError:
        raise InvalidValue("a version such as 11.38") from None
    return version


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: `default_text` is shown where the default depends; the rest says where else it may stand.

    app_variables  names in the app's `.env` that mean the same
    app_keys       keys of the app's configuration that mean the same
    renewed        whether SIGHUP is enough after a change; else it counts from the next start on
    """

    name: str
    read: Reader
    default: object
    help: str
    default_text: str = ""
    app_variables: tuple[str, ...] = ()
    app_keys: tuple[str, ...] = ()
    renewed: bool = False

    @property
    def variable(self) -> str:
        return f"BRIDGE_{self.name.upper()}"

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"


COUNT = _whole(1)
LIMIT = "limit_"  # begins the name of every row of `Limits`

_LISTENING: tuple[Setting, ...] = (
    Setting("host", text, "0.0.0.0",  # noqa: S104
            "Address to listen on; `::` is every address, of IPv6 and IPv4."),
    Setting("port", _whole(0, 65535), 6001,
            "Port for WebSocket and HTTP; 0 takes any free port.",
            app_variables=("LARAVEL_WEBSOCKETS_PORT",), app_keys=("websockets.dashboard.port",)),
    Setting("listen_from", text, None,
            "Unix socket of [`bridge listen`](restarts.md#other-service-managers), which keeps the"
            " port open over restarts."),
    Setting("ssl_cert", text, None,
            "PEM file with the certificate chain. With it the port speaks TLS only.",
            app_variables=("LARAVEL_WEBSOCKETS_SSL_LOCAL_CERT",), app_keys=("websockets.ssl.local_cert",)),
    Setting("ssl_key", text, None,
            "PEM file with the private key.",
            app_variables=("LARAVEL_WEBSOCKETS_SSL_LOCAL_PK",), app_keys=("websockets.ssl.local_pk",)),
)  # fmt: skip
_WATCHING: tuple[Setting, ...] = (
    Setting("dashboard_path", _page, "laravel-websockets",
            "Path of the dashboard.",
            app_variables=("LARAVEL_WEBSOCKETS_PATH",),
            app_keys=("websockets.path", "websockets.dashboard.path")),
    Setting("dashboard_password", _secret, None,
            "Password of the dashboard. Without one, only [links](dashboard.md#links-from-the-app)"
            " and the [gate](dashboard.md#the-apps-own-gate) open it.",
            renewed=True),
    Setting("dashboard_link_secret", _secret, None,
            "Secret that signs links to the dashboard.",
            "the secret of the default broadcast connection's app", renewed=True),
    Setting("dashboard_gate", _gate, None,
            "Address of the app's route that decides who may see the dashboard: see [the app's own"
            " gate](dashboard.md#the-apps-own-gate).",
            renewed=True),
    Setting("dashboard_origins", words, (),
            "Origins (`https://…`) of the dashboard's page, if a proxy changes the Host header.",
            "its own", renewed=True),
    Setting("dashboard_payloads", switch, False,
            "Whether the dashboard shows the payloads of failed jobs, which may contain personal"
            " data.",
            renewed=True),
    Setting("legacy_dashboard", _legacy_dashboard, None,
            "Version of laravel-websockets whose debug page bridge supplies: `1`, `2` or `off`.",
            "that of the installed package, or `off`"),
    Setting("enable_statistics", switch, True,
            "Whether to write statistics to the table `websockets_statistics_entries`, if it exists.",
            renewed=True),
    Setting("create_statistics_table", switch, False,
            "Whether to create that table if it is missing."),
    Setting("statistics_interval", COUNT, 60,
            "Seconds between two rows of statistics.",
            app_keys=("websockets.statistics.interval_in_seconds",)),
    Setting("metrics_addresses", words, ("127.0.0.1", "::1"),
            "Addresses that may read `/metrics` without a token, if they connect directly and not"
            " through a proxy."),
    Setting("metrics_token", _secret, None,
            "Bearer token that lets any address read `/metrics`."),
)  # fmt: skip
_ALERTS: tuple[Setting, ...] = (
    Setting("alert_to", _recipients, (),
            "Recipients of [alerts](dashboard.md#alerts): `https://…` (JSON), `slack:https://…`,"
            " `mailto:…` (with the app's mail settings).",
            "nobody"),
    Setting("alert_wait", seconds, 60.0,
            "Alert when a job has waited for this many seconds; 0: never."),
    Setting("alert_failures", _whole(0), 10,
            "Alert when this many jobs fail within 5 minutes; 0: never."),
    Setting("alert_cut_clients", _whole(0), 50,
            "Alert when this many slow clients are disconnected within 5 minutes; 0: never."),
    Setting("alert_php_down", seconds, 60.0,
            "Alert when PHP could not be started for this many seconds; 0: never."),
    Setting("alert_disagreements", switch, True,
            "Whether to alert when native evaluation and PHP differ."),
)  # fmt: skip
_QUEUE: tuple[Setting, ...] = (
    Setting("queue", words, None,
            "Queues to work on, the most important first.",
            "the connection's queue"),
    Setting("connection", text, None,
            "Queue connection to work on.",
            "`QUEUE_CONNECTION`"),
    Setting("retry_after", COUNT, None,
            "Seconds after which an unfinished job is taken again.",
            "the connection's `retry_after`"),
    Setting("tries", _whole(0), None,
            "Attempts of a job that does not set its own number; 0: no limit.",
            "3 for broadcasts, 1 for other jobs"),
    Setting("backoff", _delays, None,
            "Seconds before a failed job is tried again, if it does not set its own; `1,5,10` for the"
            " first, second and later attempts.",
            "3 for broadcasts, 0 for other jobs"),
    Setting("batch_size", _whole(1, 1000), 100,
            "Jobs to take from the queue at once."),
)  # fmt: skip
_OTHER_JOBS: tuple[Setting, ...] = (
    Setting("other_jobs", words, ("run",),
            "Jobs that are not broadcasts: `run` them, `leave` them to other workers, or list the"
            " queues and classes to run.",
            '`"run"`, if the app and PHP are there'),
    Setting("workers", COUNT, 1,
            "PHP processes for other jobs; each starts when needed."),
    Setting("timeout", _whole(0), 60,
            "Seconds that another job may run, if it does not set its own limit; 0: no limit."),
    Setting("memory", COUNT, 128,
            "Megabytes of memory above which a PHP worker is replaced after its job."),
    Setting("sleep", seconds, 0.25,
            "Seconds to wait before looking for other jobs again when there are none."),
    Setting("rest", seconds, 0.0,
            "Seconds that a PHP worker rests after each job."),
    Setting("name", text, "default",
            "Name of the PHP workers."),
    Setting("watch_code", switch, True,
            "Whether to replace a PHP worker when the app's files change, as `queue:listen` does."),
)  # fmt: skip
_ENDING: tuple[Setting, ...] = (
    Setting("once", switch, False,
            "Run one job, if there is one, and exit."),
    Setting("stop_when_empty", switch, False,
            "Exit when the queue is empty."),
    Setting("max_jobs", _whole(0), 0,
            "Exit after this many jobs; 0: never."),
    Setting("max_time", seconds, 0.0,
            "Exit after this many seconds; 0: never."),
)  # fmt: skip
_APP: tuple[Setting, ...] = (
    Setting("bus", text, None,
            "Redis connection of the app over which several bridges exchange events: see [several"
            " processes and servers](processes.md).",
            "none: no other bridge"),
    Setting("processes", _whole(1, 64), 1,
            "[Processes](processes.md) that serve clients on this server; one more takes the jobs."
            " More than one needs a `bus`."),
    Setting("redis_prefix", lambda value: text(value) if value else "", None,
            "Prefix of the app's Redis keys, if bridge cannot read it.",
            "`REDIS_PREFIX` or Laravel's own"),
    Setting("timezone", _timezone, None,
            "Time zone of `failed_at`.",
            "`app.timezone`"),
    Setting("laravel_version", _version, None,
            "Laravel's version, such as 11.38, if bridge cannot read it.",
            "the installed one", renewed=True),
)  # fmt: skip
_CLIENTS: tuple[Setting, ...] = (
    Setting("client_events", switch, True,
            "Whether clients may send `client-` events (whispers).",
            renewed=True),
    Setting("allowed_origins", origin_rules, (),
            "Pages that may connect: `example.com`, `*.example.com`, `https://example.com:8443`,"
            " `capacitor://localhost`, `null`, `file://`.",
            "every origin", renewed=True),
    Setting("max_connections", COUNT, None,
            "WebSocket connections at once.",
            "as many as the limit of open files allows each process"),
    Setting("trusted_proxies", networks, (),
            "Addresses or networks (`10.0.0.0/8`) of [proxies](tls.md#a-proxy) whose"
            " `X-Forwarded-For` and `X-Forwarded-Proto` count.",
            "none"),
    Setting("proxy_protocol", switch, False,
            "Whether each connection from `trusted_proxies` begins with a header of the [PROXY"
            " protocol](tls.md#a-proxy)."),
    Setting("path_prefix", _prefix, "",
            "Path before `/app` and `/apps`, such as `/ws`. Paths without it work too.",
            "none", app_variables=("REVERB_SERVER_PATH",)),
    Setting("request_timeout", seconds, 20.0,
            "Seconds within which an HTTP request must be complete."),
    Setting("activity_timeout", COUNT, ACTIVITY_TIMEOUT,
            "Seconds of silence after which a client should send a ping.",
            renewed=True),
    Setting("presence_grace", _grace, 0.0,
            "Seconds that a member stays in a presence channel after its last connection was lost, at"
            " most 300. A page that is reloaded then neither leaves nor joins. In a full channel such"
            " a member gives way to a new one.",
            renewed=True),
    Setting("resume_seconds", seconds, 0.0,
            "Seconds that a client may be away and still receive the events it missed: see"
            " [resume](resume.md); 0: off.",
            renewed=True),
    Setting("max_backlog", _whole(1024), MAX_BACKLOG,
            "Bytes that may wait for a slow client before it is disconnected. Answers to its own messages,"
            " such as lists of members, come on top: one of any size, or several of 16 times this in all."),
    Setting("stall_timeout", seconds, STALL_TIMEOUT,
            "Seconds without progress after which a slow client is disconnected."),
)  # fmt: skip
_RESOLVING: tuple[Setting, ...] = (
    Setting("php_binary", lambda value: text(value) if value else "", "php",
            "PHP's command-line program, for events that only the app can resolve and for other jobs."
            ' `""` in `bridge.toml`: PHP is never used.'),
    Setting("php_processes", COUNT, 1,
            "Most PHP processes for events; each starts when needed."),
    Setting("native_trust", _trust, "earned",
            "`earned`: a class is evaluated natively once the result has equalled PHP's. `proven`:"
            " from the start, as without PHP. See [Trust is earned](resolving.md#trust-is-earned).",
            renewed=True),
    Setting("native_trust_jobs", COUNT, 5,
            "Jobs of one class and form for which the two results must be equal.",
            renewed=True),
    Setting("state_path", text, None,
            "Folder for what must survive a restart. bridge's user must be able to write to it.",
            "`STATE_DIRECTORY`, or the app's `storage/framework`"),
)  # fmt: skip
_RUNNING: tuple[Setting, ...] = (
    Setting("reconnect_gate", seconds, None,
            "Seconds that jobs wait at most after a start until [previous"
            " clients](restarts.md#what-happens-at-a-start) are back; 0: they do not wait.",
            "2 after a stop; 17 after a crash, or while clients are arriving"),
    Setting("force", switch, False,
            "Take jobs in maintenance mode too (`php artisan down`)."),
    Setting("shadow", switch, False,
            "Only compare, beside the present worker and server."),
    Setting("shadow_to", _address, None,
            "Address of the present server, to which a shadow passes on what Laravel posts."),
    Setting("shadow_show_data", switch, False,
            "Log the data that differ in a shadow."),
    Setting("drain_seconds", seconds, 10.0,
            "Seconds that a [stop](production.md#how-long-a-stop-takes) gives to broadcasts in"
            " progress, and then to waiting webhooks."),
    Setting("drain_jobs_seconds", seconds, 45.0,
            "Seconds that a stop gives to other jobs in progress, before that."),
    Setting("drain_spread", seconds, 10.0,
            "Seconds over which a [reload](processes.md#reload) spreads the reconnects of clients."),
    Setting("log_format", _log_format, "text",
            "`text`, or `json`: one object per line."),
    Setting("log_level", _level, "info",
            "`debug`, `info`, `warning` or `error`."),
)  # fmt: skip
_LIMITS = tuple(
    Setting(
        f"{LIMIT}{limit.name}",
        COUNT,
        limit.default,
        limit.metadata["meaning"],
        "no limit" if limit.default is None else "",
        renewed=True,
    )
    for limit in fields(Limits)
)

SECTIONS: Mapping[str, tuple[Setting, ...]] = {
    "Address and TLS": _LISTENING,
    "Dashboard, statistics, metrics": _WATCHING,
    "Alerts": _ALERTS,
    "Queue": _QUEUE,
    "Other jobs": _OTHER_JOBS,
    "Exiting by itself": _ENDING,
    "App and processes": _APP,
    "Clients": _CLIENTS,
    "PHP and native evaluation": _RESOLVING,
    "Start, stop and logs": _RUNNING,
    "Limits": _LIMITS,
}
SETTINGS: tuple[Setting, ...] = tuple(setting for section in SECTIONS.values() for setting in section)


def settings_table() -> str:
    """The settings in Markdown, a table for each section, for docs/settings.md."""
    lines: list[str] = []
    for section, settings in SECTIONS.items():
        lines += [f"## {section}", "", "| bridge.toml | environment | default | a change needs | meaning |"]
        lines += ["| --- | --- | --- | --- | --- |", *map(_row, settings), ""]
    return "\n".join(lines)


def _row(setting: Setting) -> str:
    shown = setting.default_text or ("none" if setting.default is None else f"`{_toml(setting.default)}`")
    needs = "reload" if setting.renewed else "restart"
    return f"| `{setting.name}` | `{setting.variable}` | {shown} | {needs} | {setting.help} |"


def _toml(value: object) -> str:
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)
