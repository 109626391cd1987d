"""Alerts: when each rule fires, how often an alert is sent, and that it arrives at each kind of recipient."""

from __future__ import annotations

import asyncio
import email
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from bridge.demo.app import write_app
from bridge.errors import ConfigurationError
from bridge.laravel.application import load
from bridge.monitoring import alert_sender
from bridge.monitoring.alert_sender import AlertSender, MailServer, Recipient, mail_server, recipient
from bridge.monitoring.alerts import CALM, REMIND, WINDOW, Alert, AlertRules, Alerts, Facts
from bridge.secret import Secret
from tests.certificates import self_signed
from tests.monitoring.dashboard.serving import serving, until
from tests.services import free_port
from tests.sockets.webhooks.receiver import receiving

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

QUIET = Facts(oldest=None, failed=0, cut=0, disagreements=0, php_is_down=False)
RULES = AlertRules(wait=60, failures=10, cut_clients=50, php_down=60, disagreements=True)
ALERT = Alert(rule="long_wait", state="firing", text="The oldest <job> & more.")


def told(alerts: Alerts, facts: Facts, now: float) -> list[tuple[str, str]]:
    return [(alert.rule, alert.state) for alert in alerts.check(facts, now)]


# ---- rules -----------------------------------------------------------------------------------------


def test_a_rule_is_told_when_it_begins_again_after_an_hour_and_when_it_is_over() -> None:
    alerts = Alerts(RULES)
    late = replace(QUIET, oldest=60.0)
    assert told(alerts, replace(QUIET, oldest=59.9), 0) == []
    assert told(alerts, late, 15) == [("long_wait", "firing")]
    assert [told(alerts, late, 15 + more) for more in (15, 600, REMIND - 1)] == [[], [], []]
    assert told(alerts, late, 15 + REMIND) == [("long_wait", "firing")]
    assert told(alerts, QUIET, 15 + REMIND + CALM - 1) == []
    assert told(alerts, late, 15 + REMIND + CALM) == [], "it has not been over"
    assert told(alerts, QUIET, 15 + REMIND + 2 * CALM) == [("long_wait", "over")]
    assert told(alerts, QUIET, 15 + REMIND + 3 * CALM) == []


def test_failures_and_cut_clients_count_within_the_window_only() -> None:
    alerts = Alerts(replace(RULES, cut_clients=5))
    assert told(alerts, replace(QUIET, failed=9), 0) == []
    assert told(alerts, replace(QUIET, failed=9), WINDOW + 1) == []
    assert told(alerts, replace(QUIET, failed=18), WINDOW + 2) == []
    assert told(alerts, replace(QUIET, failed=19), WINDOW + 3) == [("failures", "firing")]
    assert told(alerts, replace(QUIET, failed=19, cut=5), WINDOW + 4) == [("cut_clients", "firing")]
    assert told(alerts, replace(QUIET, failed=19, cut=5), 3 * WINDOW) == [
        ("failures", "over"),
        ("cut_clients", "over"),
    ]


def test_failures_before_the_first_look_count_too() -> None:
    assert told(Alerts(RULES), replace(QUIET, failed=10), 100.0) == [("failures", "firing")]


def test_php_that_is_down_for_a_moment_is_none_of_anybodys_business() -> None:
    alerts = Alerts(RULES)
    down = replace(QUIET, php_is_down=True)
    assert [told(alerts, down, now) for now in (0, 59)] == [[], []]
    assert told(alerts, QUIET, 59.5) == []
    assert [told(alerts, down, now) for now in (60, 119)] == [[], []]
    assert told(alerts, down, 120) == [("php_down", "firing")]


def test_each_disagreement_is_told_and_none_twice() -> None:
    alerts = Alerts(RULES)
    assert told(alerts, replace(QUIET, disagreements=1), 0) == [("disagreement", "firing")]
    assert told(alerts, replace(QUIET, disagreements=1), 15) == []
    assert told(alerts, replace(QUIET, disagreements=3), 30) == [("disagreement", "firing")]


def test_rules_that_are_switched_off_never_hold() -> None:
    off = AlertRules(wait=0, failures=0, cut_clients=0, php_down=0, disagreements=False)
    all_bad = Facts(oldest=1e6, failed=10**6, cut=10**6, disagreements=9, php_is_down=True)
    alerts = Alerts(off)
    assert told(alerts, all_bad, 0) == told(alerts, all_bad, 10_000) == []


# ---- where they go ---------------------------------------------------------------------------------


async def deliver(to: Recipient, mail: MailServer | None = None, name: str = "Shop") -> None:
    sender = AlertSender([to], app=name, mail=mail)
    sender.send(ALERT)
    await sender.stop(60)


def test_a_webhook_gets_json_and_an_address_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alert_sender, "PAUSES", (0.0, 0.0))
    with receiving() as receiver:
        receiver.answers = [500, 503]
        asyncio.run(deliver(recipient(receiver.url)))
        [body] = receiver.bodies
    found = json.loads(body)
    assert {name: found[name] for name in ("app", "rule", "state", "text")} == {
        "app": "Shop",
        "rule": "long_wait",
        "state": "firing",
        "text": ALERT.text,
    }


def test_slack_gets_text_in_its_form() -> None:
    with receiving() as receiver:
        asyncio.run(deliver(recipient(f"slack:{receiver.url}services/T0/B0/x")))
        [body] = receiver.bodies
    assert json.loads(body) == {"text": "[Shop] bridge: long wait, alert\nThe oldest &lt;job&gt; &amp; more."}


def test_what_does_not_arrive_is_in_the_log_without_the_secret_of_the_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alert_sender, "PAUSES", (0.0, 0.0))
    with receiving() as receiver:
        receiver.answers = [404] * 3
        asyncio.run(deliver(recipient(f"{receiver.url}t0p-secret")))
        assert receiver.answers == []
    [lost] = [vars(record) for record in caplog.records if record.msg == "an alert did not arrive"]
    assert (lost["why"], lost["url"]) == ("answered 404", "http://127.0.0.1")
    assert "t0p-secret" not in str([vars(record) for record in caplog.records])


class Taken:
    """A mail server's memory: what came, and whether by TLS."""

    def __init__(self) -> None:
        self.letters: list[tuple[Envelope, Message, bool]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        text = envelope.content
        assert isinstance(text, bytes)
        self.letters.append((envelope, email.message_from_bytes(text), session.ssl is not None))
        return "250 taken"


def _knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"u", b"p")
    return AuthResult(success=known, handled=False)  # the server says so


@contextmanager
def mail_server_running(**options: Any) -> Iterator[tuple[int, Taken]]:
    """aiosmtpd's server, which lets in the user u with the password p only."""
    taken = Taken()
    options = {"authenticator": _knows, "auth_required": True, "auth_require_tls": False, **options}
    controller = Controller(taken, hostname="127.0.0.1", port=free_port(), ready_timeout=60, **options)
    controller.start()
    try:
        yield controller.port, taken
    finally:
        controller.stop()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's, whose certificate this process trusts."""
    chain, key = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


def _server(port: int, **options: Any) -> MailServer:
    given = {"user": "u", "password": Secret("p"), "sender": "shop@example.com", "sender_name": "Shop"}
    return MailServer(host="127.0.0.1", port=port, **{**given, **options})


def test_mail_goes_by_the_apps_server_whatever_the_app_is_called() -> None:
    with mail_server_running() as (port, taken):
        server = _server(port, sender_name='Größe "X"\r\nBcc: all@example.com')
        asyncio.run(deliver(recipient("mailto:ops@example.com"), server, "Shop\r\nBcc: all@example.com"))
    [(envelope, message, _)] = taken.letters
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@example.com", ["ops@example.com"])
    assert message["To"] == "ops@example.com"
    assert message["Bcc"] is None
    assert "shop@example.com" in message["From"]
    assert "oldest <job> & more" in str(message.get_payload(decode=True))


@pytest.mark.parametrize("is_tls", [True, False])
def test_mail_goes_by_tls_from_the_first_byte_or_after_starttls(is_tls: bool, tls: ssl.SSLContext) -> None:
    options = {"ssl_context": tls} if is_tls else {"tls_context": tls, "require_starttls": True}
    with mail_server_running(**options, auth_require_tls=not is_tls) as (port, taken):
        server = _server(port, is_tls=is_tls, needs_tls=True)
        asyncio.run(deliver(recipient("mailto:ops@example.com"), server))
    assert [by_tls or is_tls for _, _, by_tls in taken.letters] == [True]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"password": Secret("wrong")}, "SMTPAuthenticationError"),
        ({"needs_tls": True}, "SMTPNotSupportedError"),
    ],
)
def test_mail_that_is_not_taken_is_in_the_log(
    options: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alert_sender, "PAUSES", ())
    with mail_server_running() as (port, taken):
        asyncio.run(deliver(recipient("mailto:ops@example.com"), _server(port, **options)))
    assert taken.letters == []
    [lost] = [vars(record) for record in caplog.records if record.msg == "an alert did not arrive"]
    assert (lost["why"], lost["url"]) == (why, "mail to example.com")


def test_a_mail_server_with_a_certificate_that_is_not_trusted_gets_no_password(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alert_sender, "PAUSES", ())
    monkeypatch.delenv("SSL_CERT_FILE")
    with mail_server_running(tls_context=tls, require_starttls=True) as (port, taken):
        asyncio.run(deliver(recipient("mailto:ops@example.com"), _server(port)))
    assert taken.letters == []
    [lost] = [vars(record) for record in caplog.records if record.msg == "an alert did not arrive"]
    assert lost["why"] == "SSLCertVerificationError"


def app_with_mail(folder: Path, php: str) -> Path:
    app = write_app(folder).path
    (app / "config").mkdir(exist_ok=True)
    (app / "config/mail.php").write_text(f"<?php return {php};")
    return app


@pytest.mark.parametrize(
    ("mailer", "is_tls", "needs_tls"),
    [
        ("'port' => 587, 'encryption' => 'tls'", False, True),
        ("'port' => 465, 'encryption' => 'tls'", True, True),
        ("'port' => 4650, 'scheme' => 'smtps'", True, False),
        ("'port' => '1025', 'encryption' => null", False, False),
    ],
)
def test_the_apps_mail_settings_are_read_as_laravel_reads_them(
    tmp_path: Path, mailer: str, is_tls: bool, needs_tls: bool
) -> None:
    app = app_with_mail(
        tmp_path,
        f"['default' => 'smtp', 'mailers' => ['smtp' => ['transport' => 'smtp', 'host' => 'h', {mailer}]],"
        " 'from' => ['address' => 'a@b.c', 'name' => 'N']]",
    )
    server = mail_server(load(app, {}, None))
    assert (server.host, server.is_tls, server.needs_tls, server.sender) == ("h", is_tls, needs_tls, "a@b.c")


def test_a_mailer_that_bridge_cannot_use_ends_the_start(tmp_path: Path) -> None:
    app = app_with_mail(tmp_path, "['default' => 'ses', 'mailers' => ['ses' => ['transport' => 'ses']]]")
    with pytest.raises(ConfigurationError, match="MAIL_MAILER=smtp"):
        mail_server(load(app, {}, None))


@pytest.mark.parametrize("text", ["", "ops@example.com", "mailto:x", "ftp:x", "slack:ops", "mailto:a b@c"])
def test_what_is_no_address_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        recipient(text)


def test_a_running_bridge_tells_of_failed_jobs(tmp_path: Path) -> None:
    with receiving() as receiver:
        given = {"alert_to": receiver.url, "alert_failures": "2"}
        with serving(tmp_path, **given) as served:
            for _ in range(2):
                served.queue_refused("App\\Events\\NobodyKnows")
            [body] = until("the alert has arrived", lambda: list(receiver.bodies))
            until("it is in the log", lambda: 'rule="failures"' in served.log.read_text())
    assert json.loads(body)["rule"] == "failures"
    assert "NobodyKnows" not in body.decode()
