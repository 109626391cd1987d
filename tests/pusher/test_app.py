import pytest

from bridge.pusher.app import App


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
        ("example.com", ""),
        ("example.com", "https://[example.com"),
        ("example.com", "https://example.com@evil.test"),
    ],
)
def test_a_look_alike_origin_is_refused(rule: str, origin: str) -> None:
    assert not app(rule).allows_origin(origin)


def test_without_rules_every_origin_is_allowed() -> None:
    assert app().allows_origin("https://anything.test")


def test_a_client_that_is_no_browser_sends_no_origin_and_is_allowed() -> None:
    assert app("example.com").allows_origin(None)


def test_secrets_are_not_in_the_repr() -> None:
    shown = repr(App(id="1", key="key", secret="hidden-one", previous_secrets=("hidden-two",)))
    assert "hidden" not in shown
