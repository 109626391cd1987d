import re

import pytest

from bridge.sockets.pusher import origins
from bridge.sockets.pusher.app import App


def app(*allowed_origins: str) -> App:
    return App(id="1", key="key", secret="secret", allowed_origins=allowed_origins)


@pytest.mark.parametrize(
    ("rule", "origin"),
    [
        ("example.com", "https://example.com"),
        ("example.com", "http://example.com:8000"),
        ("Example.com", "https://EXAMPLE.com"),
        ("*.example.com", "https://shop.example.com"),
        ("*.example.com", "https://a.b.example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("*", "https://anything.test"),
        ("*", "null"),
        ("null", "null"),
        ("file://", "file://"),
        ("https://*.example.com", "https://shop.example.com"),
        ("app-*.example.com", "https://app-eu.example.com:8443"),
        ("example.com:8443", "https://example.com:8443"),
        ("example.com:443", "https://example.com"),
        ("localhost:*", "http://localhost:5173"),
        ("http://localhost:*", "http://localhost"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("[::1]", "http://[::1]:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_that_a_rule_names_is_allowed(rule: str, origin: str) -> None:
    assert app(rule).allows_origin(origin)


@pytest.mark.parametrize(
    ("rule", "origin"),
    [
        ("example.com", "https://example.com.evil.test"),
        ("example.com", "https://notexample.com"),
        ("example.com", "https://shop.example.com"),
        ("*.example.com", "https://example.com"),
        ("*.example.com", "https://evilexample.com"),
        ("https://example.com", "http://example.com"),
        ("https://example.com", "https://example.com:8443"),
        ("example.com", "null"),
        ("null", "file://"),
        ("file://", "null"),
        ("null", "https://null.test"),
        ("https://*.example.com", "http://shop.example.com"),
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "https://evil.test/.example.com"),
        ("app-*.example.com", "https://app-.evil.test"),
        ("app-*.example.com", "https://shop.example.com"),
        ("example.com:8443", "https://example.com"),
        ("example.com:8443", "https://example.com:8444"),
        ("exa.ple.com", "https://example.com"),
        ("capacitor://localhost", "http://localhost"),
        ("example.com", ""),
        ("example.com", "https://[example.com"),
        ("example.com", "https://example.com@evil.test"),
    ],
)
def test_a_look_alike_origin_is_refused(rule: str, origin: str) -> None:
    assert not app(rule).allows_origin(origin)


@pytest.mark.parametrize(
    "rule",
    [
        *(" ", "http:/example.com", "https://", "https://example.com/page", "exa mple.com"),
        *("user@example.com", "example.com:port", "example..com", "?.example.com"),
        *("^https://example\\.com$", "example.com,other.com"),
    ],
)
def test_a_rule_that_is_not_understood_is_an_error(rule: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(rule)}$"):
        origins.read(rule)


def test_without_rules_every_origin_is_allowed() -> None:
    assert app().allows_origin("https://anything.test")


def test_a_client_that_is_no_browser_sends_no_origin_and_is_allowed() -> None:
    assert app("example.com").allows_origin(None)


def test_secrets_are_not_in_the_repr() -> None:
    shown = repr(App(id="1", key="key", secret="hidden-one", previous_secrets=("hidden-two",)))
    assert "hidden" not in shown
