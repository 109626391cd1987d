"""Who may connect."""

from dataclasses import replace
from typing import Any

import pytest

from bridge.errors import ProtocolError
from bridge.sockets.pusher import admission
from bridge.sockets.pusher.admission import UpgradeRequest
from bridge.sockets.pusher.app import App, Limits
from tests.sockets.pusher.clients import APP

KEY: dict[str, Any] = {"key": "app-key"}
LIMITED = replace(APP, limits=Limits(connections_per_address=2))


@pytest.mark.parametrize(
    ("arrival", "app", "counts", "code"),
    [
        pytest.param({**KEY}, replace(APP, tls_only=True), (0, 0), 4000, id="plain"),
        pytest.param({"key": "other"}, None, (0, 0), 4001, id="unknown key"),
        pytest.param({**KEY}, replace(APP, enabled=False), (0, 0), 4003, id="switched off"),
        pytest.param({**KEY}, replace(APP, max_connections=2), (2, 0), 4004, id="full app"),
        pytest.param({"key": None}, None, (0, 0), 4005, id="no key in the path"),
        pytest.param({**KEY, "protocol": "3"}, APP, (0, 0), 4007, id="old protocol"),
        pytest.param({**KEY, "protocol": "8"}, APP, (0, 0), 4007, id="new protocol"),
        pytest.param({**KEY, "protocol": "seven"}, APP, (0, 0), 4007, id="protocol in words"),
        pytest.param({**KEY, "protocol": ""}, APP, (0, 0), 4008, id="empty protocol"),
        pytest.param(
            {**KEY, "origin": "https://evil.test"},
            replace(APP, allowed_origins=("example.com",)),
            (0, 0),
            4009,
            id="foreign origin",
        ),
        pytest.param({**KEY, "address": "1.2.3.4"}, LIMITED, (2, 2), 4100, id="full address"),
    ],
)
def test_a_client_that_may_not_stay_gets_its_close_code(
    arrival: dict[str, Any], app: App | None, counts: tuple[int, int], code: int
) -> None:
    with pytest.raises(ProtocolError) as caught:
        admission.check(UpgradeRequest(**arrival), app, *counts)
    assert caught.value.code == code
    assert caught.value.close


@pytest.mark.parametrize(
    ("arrival", "app"),
    [
        ({}, APP),
        ({"protocol": "7"}, APP),
        ({"protocol": "5"}, APP),
        ({"is_secure": True}, replace(APP, tls_only=True)),
        ({}, replace(APP, max_connections=2)),
        ({"address": "1.2.3.4"}, LIMITED),
        ({"origin": "https://example.com"}, replace(APP, allowed_origins=("example.com",))),
    ],
)
def test_a_client_that_may_connect_gets_its_app(arrival: dict[str, Any], app: App) -> None:
    assert admission.check(UpgradeRequest(**KEY, **arrival), app, 1, 1) is app
