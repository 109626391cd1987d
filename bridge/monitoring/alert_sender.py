"""Where alerts go: a webhook, Slack, or mail by the app's own mail settings. Sent a few times, then given up.

The log has every alert, whether it arrives or not, and shows of an address only its scheme and host.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from bridge.errors import ConfigurationError
from bridge.laravel.application import LaravelApp
from bridge.monitoring.alerts import Alert
from bridge.secret import Secret

if TYPE_CHECKING:
    import smtplib

TIMEOUT = 10.0  # seconds that an address has to answer
PAUSES = (2.0, 20.0)  # seconds before it is tried again

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """`kind` says the form; `address`: a URL, or for mail somebody's address."""

    kind: Literal["webhook", "slack", "mail"]
    address: Secret

    @property
    def place(self) -> str:
        """The address as far as a log may show it."""
        if self.kind == "mail":
            return f"mail to {self.address.reveal().rpartition('@')[2]}"
        parts = urlsplit(self.address.reveal())
        return f"{parts.scheme}://{parts.hostname}"


def recipient(text: str) -> Recipient:
    """`https://…` is a webhook, `slack:https://…` Slack's, `mailto:…` mail. ValueError for anything else."""
    kind: Literal["webhook", "slack", "mail"] = "webhook"
    if text.startswith("mailto:"):
        address = text.removeprefix("mailto:")
        name, at, host = address.rpartition("@")
        if not (name and at and host and address.isascii() and address.isprintable() and " " not in address):
            raise ValueError(f"mailto:{address}")
        return Recipient(kind="mail", address=Secret(address))
    if text.startswith("slack:"):
        kind = "slack"
    url = text.removeprefix("slack:")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(text)
    return Recipient(kind=kind, address=Secret(url))


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """`is_tls`: from the first byte; else STARTTLS where the server offers it, always if it `needs_tls`."""

    host: str
    port: int
    user: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))
    is_tls: bool = False
    needs_tls: bool = False
    sender: str = ""
    sender_name: str = ""


def mail_server(laravel: LaravelApp) -> MailServer:
    """The app's own. ConfigurationError where its mailer is not smtp, or only PHP could tell.

    Source: config/mail.php; Mail/MailManager.php `createSmtpTransport`; Symfony's EsmtpTransport."""
    config = laravel.config
    name = config.text("mail.default") or "smtp"
    key = f"mail.mailers.{name}"
    transport = config.text(f"{key}.transport") or name
    if transport != "smtp" or config.text(f"{key}.url"):
        raise config.error(
            key,
            "is no mailer that bridge can use for alerts: it wants smtp with a host",
            remedy="set MAIL_MAILER=smtp, or send alerts to a webhook",
        )
    host, sender = config.text(f"{key}.host"), config.text("mail.from.address")
    if not host or not sender:
        missing = f"{key}.host" if not host else "mail.from.address"
        raise config.error(missing, "is empty", remedy="set MAIL_HOST and MAIL_FROM_ADDRESS")
    port = config.integer(f"{key}.port") or 25
    encryption = config.text(f"{key}.encryption") or ""
    is_tls = config.text(f"{key}.scheme") == "smtps" or encryption == "ssl" or port == 465
    return MailServer(
        host=host,
        port=port,
        user=config.text(f"{key}.username") or "",
        password=Secret(config.text(f"{key}.password") or ""),
        is_tls=is_tls,
        needs_tls=encryption == "tls",
        sender=sender,
        sender_name=config.text("mail.from.name") or "",
    )


@contextlib.contextmanager
def connected(server: MailServer) -> Iterator[smtplib.SMTP]:
    """The server, which has let us in. Raises OSError and smtplib's errors, which are such."""
    import smtplib  # only who wants mail needs it

    context = ssl.create_default_context()
    if server.is_tls:
        opened: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT, context=context)
    else:
        opened = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT)
    with opened as smtp:
        smtp.ehlo()
        if not server.is_tls and (server.needs_tls or smtp.has_extn("starttls")):
            smtp.starttls(context=context)
            smtp.ehlo()
        if server.user:
            smtp.login(server.user, server.password.reveal())
        yield smtp


class AlertSender:
    """`app`: its name, for those who have several. `mail`: needed by recipients of mail. On the loop."""

    def __init__(self, recipients: Sequence[Recipient], *, app: str, mail: MailServer | None = None) -> None:
        self._recipients = recipients
        self._app = app or "Laravel"
        self._mail = mail
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, alert: Alert) -> None:
        """Sends the alert to everybody, and logs it."""
        level = logging.WARNING if alert.state == "firing" else logging.INFO
        about = {"action": "alert", "rule": alert.rule, "state": alert.state, "why": alert.text}
        log.log(level, "alert", extra=about)
        for one in self._recipients:
            task = asyncio.get_running_loop().create_task(self._deliver(one, alert))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self, within: float) -> None:
        """Waits up to `within` seconds for what is on its way."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _deliver(self, to: Recipient, alert: Alert) -> None:
        for pause in (*PAUSES, None):
            problem = await self._attempt(to, alert)
            if not problem:
                return
            if pause is not None:
                await asyncio.sleep(pause)
        about = {"action": "alert_lost", "rule": alert.rule, "url": to.place, "why": problem}
        log.warning("an alert did not arrive", extra=about)

    async def _attempt(self, to: Recipient, alert: Alert) -> str:
        """Why it was not taken; empty where it was."""
        try:
            async with asyncio.timeout(TIMEOUT):
                if to.kind == "mail":
                    await asyncio.to_thread(self._send_mail, to, alert)
                    return ""
                return await self._post(to, alert)
        except TimeoutError:
            return f"no answer within {TIMEOUT:g} s"
        except Exception as problem:  # of the network, of TLS, of what an address answers
            return type(problem).__name__

    async def _post(self, to: Recipient, alert: Alert) -> str:
        import httpx  # only who wants alerts needs it

        body = self._slack(alert) if to.kind == "slack" else self._document(alert)
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            answer = await client.post(to.address.reveal(), json=body)
        return "" if answer.is_success else f"answered {answer.status_code}"

    def _document(self, alert: Alert) -> dict[str, Any]:
        return {
            "app": self._app,
            "rule": alert.rule,
            "state": alert.state,
            "text": alert.text,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
        }

    def _slack(self, alert: Alert) -> dict[str, Any]:
        """Slack's incoming webhooks: `text`, in which three characters are escaped."""
        text = f"{self._title(alert)}\n{alert.text}"
        for character, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(character, written)
        return {"text": text}

    def _title(self, alert: Alert) -> str:
        word = "alert" if alert.state == "firing" else "over"
        return f"[{self._app}] bridge: {alert.rule.replace('_', ' ')}, {word}"

    def _send_mail(self, to: Recipient, alert: Alert) -> None:
        """Sends it, in a thread. Raises OSError and smtplib's errors, which are such."""
        server = self._mail
        if server is None:
            raise ConfigurationError("alert_to", "has mail, but no mail server", remedy="set MAIL_HOST")
        from email.headerregistry import Address  # only who wants mail needs these
        from email.message import EmailMessage
        from email.utils import formatdate, make_msgid

        message = EmailMessage()
        message["Subject"] = " ".join(self._title(alert).split())
        message["From"] = Address(" ".join(server.sender_name.split()), addr_spec=server.sender)
        message["To"] = to.address.reveal()
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=server.sender.rpartition("@")[2] or None)
        message.set_content(f"{alert.text}\n\n{self._app}, on {socket.gethostname()}\n")
        with connected(server) as smtp:
            smtp.send_message(message)
