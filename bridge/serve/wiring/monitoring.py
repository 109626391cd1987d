"""Alerts, the dashboard of laravel-websockets, and who may look at ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

from bridge.broadcast import Broadcast
from bridge.laravel.packages import installed_version
from bridge.monitoring.alert_sender import AlertSender, mail_server, recipient
from bridge.monitoring.alerts import AlertRules
from bridge.monitoring.legacy_dashboard import ORIGIN, LegacyDashboard
from bridge.secret import Secret
from bridge.settings.load import Settings
from bridge.sockets.server.node import Node


class AccessOptions(TypedDict):
    password: Secret | None
    link_secret: Secret | None
    gate: str | None
    origins: Sequence[str]


def build_legacy_dashboard(settings: Settings, node: Node) -> LegacyDashboard | None:
    release = settings.legacy_dashboard
    if release is None:
        version = installed_version(settings.laravel.path, "beyondcode/laravel-websockets")
        release = "off" if version is None else "1" if version.startswith("1.") else "2"
    if release == "off":
        return None
    loop = asyncio.get_running_loop()

    def publish(broadcast: Broadcast) -> None:
        # in the next turn, for the hub is still busy with this event
        loop.call_soon(deliver, broadcast)

    def deliver(broadcast: Broadcast) -> None:
        if broadcast.app_id in node.hubs:
            node.publish([broadcast], origin=ORIGIN)

    zone = settings.laravel.timezone
    return LegacyDashboard("1" if release == "1" else "2", publish, clock=lambda: datetime.now(zone))


def alert_rules(settings: Settings) -> AlertRules:
    return AlertRules(
        wait=settings.alert_wait,
        failures=settings.alert_failures,
        cut_clients=settings.alert_cut_clients,
        php_down=settings.alert_php_down,
        disagreements=settings.alert_disagreements,
    )


def build_alert_sender(settings: Settings) -> AlertSender | None:
    """None where nobody gets alerts. ConfigurationError for mail without a mail server."""
    recipients = [recipient(address.reveal()) for address in settings.alert_to]
    if not recipients:
        return None
    has_mail = any(one.kind == "mail" for one in recipients)
    mail = mail_server(settings.laravel) if has_mail else None
    return AlertSender(recipients, app=settings.laravel.name, mail=mail)


def access_options(settings: Settings) -> AccessOptions:
    return {
        "password": settings.dashboard_password,
        "link_secret": settings.link_secret(),
        "gate": settings.dashboard_gate,
        "origins": settings.dashboard_origins,
    }
