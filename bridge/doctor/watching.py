"""Checks of alerts and the dashboard's gate. Nothing is sent."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import smtplib
import socket
import ssl
import urllib.request
from urllib.parse import SplitResult, unquote, urlsplit

from bridge.doctor.subject import ExaminedApp, Finding, Found
from bridge.monitoring.alert_sender import connected, mail_server, recipient

PATIENCE = 5.0  # seconds


def alerts(subject: ExaminedApp) -> Found:
    """Checks that everybody in `alert_to` can be reached from here."""
    recipients = [recipient(address.reveal()) for address in subject.settings.alert_to]
    where = subject.settings.origins.get("alert_to", "alert_to")
    for place, url in {one.place: one.address.reveal() for one in recipients if one.kind != "mail"}.items():
        if problem := _unreachable(url):
            yield Finding(
                what=f"alerts do not reach {place}: {problem}",
                where=where,
                remedy="correct the address in alert_to, or let this machine connect there",
            )
    if any(one.kind == "mail" for one in recipients):
        server = mail_server(subject.laravel)
        try:
            with connected(server) as smtp:
                smtp.noop()
        except (
            OSError,
            ValueError,
        ) as problem:  # ValueError: a login that is not ASCII
            yield Finding(
                what=f"alerts by mail do not reach {server.host}:{server.port}: {_reason(problem)}",
                where=subject.variable("MAIL_HOST"),
                remedy="correct MAIL_HOST, MAIL_PORT, MAIL_USERNAME, MAIL_PASSWORD and MAIL_ENCRYPTION",
            )


def gate(subject: ExaminedApp) -> Found:
    """Checks that the route of `dashboard_gate` exists, and gives no link to whoever is not logged in."""
    address, where = subject.settings.dashboard_gate, subject.settings.origins.get("dashboard_gate", "")
    if address is None:
        return
    if subject.settings.link_secret() is None:
        yield Finding(
            what="dashboard_gate lets nobody in: there is no secret that its links could be signed with",
            where=where,
            remedy="set dashboard_link_secret, or the secret of the default broadcast connection",
        )
    import httpx

    try:
        answer = httpx.get(address, timeout=PATIENCE, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        yield Finding(
            what=f"dashboard_gate cannot be asked from here: {type(problem).__name__}",
            where=where,
            remedy="correct the address; browsers must reach it, this machine need not",
            hint=True,
        )
        return
    if "token=" in answer.headers.get("location", ""):
        yield Finding(
            what="dashboard_gate lets everybody in: without a log-in it gives a link to the dashboard",
            where=where,
            remedy="put the middleware auth on the route, and Gate::authorize() before the link is made",
        )
    elif answer.status_code == 404 or answer.status_code >= 500:
        yield Finding(
            what=f"dashboard_gate answers {answer.status_code}",
            where=where,
            remedy="add the route to the app (docs/dashboard.md has it), or correct the address",
        )


def _unreachable(url: str) -> str:
    """Why nobody listens there; empty where somebody does. Asks the proxy that alerts would go by."""
    parts = urlsplit(url)
    try:
        proxy = _proxy(parts)
        _connect(parts) if proxy is None else _connect_by(proxy, parts)
    except (OSError, ValueError, http.client.HTTPException) as problem:
        return _reason(problem)
    return ""


def _proxy(parts: SplitResult) -> SplitResult | None:
    """As httpx chooses it: by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""
    known = urllib.request.getproxies()
    address = known.get(parts.scheme) or known.get("all")
    if not address or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urlsplit(address if "://" in address else f"http://{address}")


def _place(parts: SplitResult) -> tuple[str, int]:
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _connect(parts: SplitResult) -> None:
    with socket.create_connection(_place(parts), timeout=PATIENCE) as plain:
        if parts.scheme == "https":
            context = ssl.create_default_context()
            context.wrap_socket(plain, server_hostname=parts.hostname).close()


def _connect_by(proxy: SplitResult, parts: SplitResult) -> None:
    """To what the proxy leads to, as far as no request need be made: of plain HTTP it sees whole requests."""
    if proxy.scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise ValueError("a SOCKS proxy is set, which needs the package httpx[socks]")
    if parts.scheme != "https" or proxy.scheme != "http":
        _connect(proxy)
        return
    connection = http.client.HTTPSConnection(*_place(proxy), timeout=PATIENCE)
    headers = {}
    if proxy.username:
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    connection.set_tunnel(*_place(parts), headers)
    try:
        connection.connect()
    finally:
        connection.close()


def _reason(problem: Exception) -> str:
    if isinstance(problem, smtplib.SMTPResponseException):
        return f"{type(problem).__name__} {problem.smtp_code}"
    if isinstance(problem, UnicodeError):
        return f"{type(problem).__name__}, since it is not ASCII"  # its text quotes the password
    text = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    return f"{type(problem).__name__}, {' '.join(text.split())}"[:200]
