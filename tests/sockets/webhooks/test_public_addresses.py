"""Webhooks of a table's rows: what this machine reaches, they do not, whatever names say."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import httpx
import pytest

from bridge.errors import ConfigurationError
from bridge.sockets.webhooks.events import Webhook
from bridge.sockets.webhooks.public_addresses import PublicBackend, public_client, webhook_client
from bridge.sockets.webhooks.sender import SenderLimits
from tests.sockets.server.running import until
from tests.sockets.webhooks.receiver import receiving
from tests.sockets.webhooks.test_webhooks import occupied, posting

pytestmark = pytest.mark.anyio

IMPATIENT = SenderLimits(first=0.02, longest=0.02, give_up=0.1, summary=0.0)


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("127.9.9.9", False),
        ("0.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False),
        ("::1", False), ("::", False), ("fe80::1%eth0", False), ("fd00::1", False), ("ff02::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True), ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True), ("::7f00:1", False),
        ("192.0.0.192", False), ("::ffff:0:127.0.0.1", False), ("5f00::1", False),
        ("64:ff9b:1::7f00:1", False), ("fec0::1", False), ("2002:7f00:1::", False), ("2001:db8::1", False),
    ],
)  # fmt: skip
async def test_only_public_addresses_may_be_reached(address: str, is_allowed: bool) -> None:
    assert PublicBackend().allows(address) is is_allowed


async def test_networks_that_are_named_may_be_reached_too() -> None:
    backend = PublicBackend(["10.0.0.0/8", "::1/128"])
    assert [backend.allows(one) for one in ("10.1.1.1", "::1", "::ffff:10.1.1.1", "127.0.0.1")] == [
        True, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0"]
)
async def test_no_spelling_of_this_machine_is_posted_to_and_the_log_says_why(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving() as receiver, caplog.at_level(logging.WARNING):
        url = receiver.url.replace("127.0.0.1", host)
        own = Webhook(url=receiver.url)
        async with posting(Webhook(url=url, within=()), own, patience=IMPATIENT) as hooks:
            for event in occupied("x"):
                hooks.observe(event)
            await until(lambda: "webhook events were lost" in caplog.text)
    assert receiver.names() == ["channel_occupied x"], "the operator's own, once"
    why = {vars(record)["why"] for record in caplog.records if "lost" in record.getMessage()}
    assert why == {"it leads to a private address: see webhook_networks of [apps_table]"}


async def test_a_network_that_is_allowed_is_posted_to() -> None:
    with receiving() as receiver:
        async with posting(Webhook(url=receiver.url, within=("127.0.0.0/8",))) as hooks:
            for event in occupied("x"):
                hooks.observe(event)
            await until(lambda: receiver.names() == ["channel_occupied x"])


async def test_a_name_that_leads_elsewhere_when_it_is_used_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: a public address first, this machine afterwards; what is connected to was looked at."""
    loop = asyncio.get_running_loop()
    asked: list[str] = []
    answers = ["203.0.113.7", "127.0.0.1", "127.0.0.1"]

    async def getaddrinfo(host: Any, port: Any, **_: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[len(asked) - 1], port))]

    with receiving() as receiver:
        monkeypatch.setattr(type(loop), "getaddrinfo", lambda self, *a, **k: getaddrinfo(*a, **k))
        async with public_client(()) as client:
            for _ in answers:
                with pytest.raises(httpx.ConnectError):
                    await client.post(receiver.url.replace("127.0.0.1", "rebound.example"), content=b"x")
        assert receiver.bodies == []
    assert asked == ["rebound.example"] * 3


async def test_it_goes_by_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, receiver.url)
        async with public_client(()) as client:
            with pytest.raises(httpx.ConnectError):
                await client.post("http://169.254.169.254/latest/meta-data", content=b"x")
        assert receiver.bodies == []


@pytest.mark.parametrize("proxy", ["socks5://user:canary@127.0.0.1:9", "ftp://user:canary@127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="ALL_PROXY") as caught:
        webhook_client()
    assert "canary" not in str(caught.value)
