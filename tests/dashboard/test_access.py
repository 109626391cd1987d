"""Who may look: password, signed link, this machine; nobody else, and nothing changes without the token."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from bridge.dashboard.access import ALL_FAILURES, COOKIE, FAILURES, LIFE, LONGEST_LINK, WINDOW, Access
from bridge.secret import Secret

NOW = 1_800_000_000.0
SECRET = Secret("app-secret")


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def access(clock: Clock | None = None, *, word: str | None = "right", is_open: bool = False) -> Access:
    return Access(
        password=Secret(word) if word else None,
        secrets=[SECRET],
        is_open=is_open,
        origins=["https://ws.example.com"],
        clock=clock or Clock(),
    )


def request(
    headers: Mapping[str, str] | None = None,
    *,
    cookie: str = "",
    host: str = "ws.local:6001",
    address: str = "10.0.0.9",
) -> Request:
    given = {"host": host, **(headers or {}), **({"cookie": f"{COOKIE}={cookie}"} if cookie else {})}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {
        "type": "http", "method": "POST", "path": "/", "headers": raw, "client": (address, 1),
        "scheme": "http", "query_string": b"", "server": ("x", 1),
    }  # fmt: skip
    return Request(scope)


def status(error: pytest.ExceptionInfo[HTTPException]) -> int:
    return error.value.status_code


def link(expires: float, secret: str = SECRET.reveal()) -> str:
    text = f"bridge-dashboard:{expires:.0f}"
    return f"{expires:.0f}.{hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}"


def test_the_password_opens_a_session_that_ends() -> None:
    clock = Clock()
    door = access(clock)
    cookie = door.log_in(request(), "right")
    assert door.session(request(cookie=cookie)) is not None
    clock.now += LIFE - 1
    assert door.session(request(cookie=cookie)) is not None
    clock.now += 2
    assert door.session(request(cookie=cookie)) is None


def test_a_session_outlives_a_restart_and_not_a_change_of_the_password() -> None:
    cookie = access().log_in(request(), "right")
    assert access().session(request(cookie=cookie)) is not None
    assert access(word="other").session(request(cookie=cookie)) is None


@pytest.mark.parametrize(
    "forged", ["", ".", "x.y", "9999999999.", "99999999999999999999.aa", "²." + "a" * 64, link(NOW + 60)]
)
def test_a_forged_cookie_is_no_session(forged: str) -> None:
    assert access().session(request(cookie=forged.encode().decode("latin-1"))) is None


def test_where_there_is_no_password_none_is_right() -> None:
    for password in ("", "right"):
        with pytest.raises(HTTPException) as error:
            access(word=None).log_in(request(), password)
        assert status(error) == 403


def test_after_some_wrong_passwords_an_address_must_wait_and_others_need_not() -> None:
    clock = Clock()
    door = access(clock)
    for _ in range(FAILURES):
        with pytest.raises(HTTPException) as error:
            door.log_in(request(), "wrong")
        assert status(error) == 403
    with pytest.raises(HTTPException) as error:
        door.log_in(request(), "right")
    assert status(error) == 429
    assert door.log_in(request(address="10.0.0.10"), "right")
    clock.now += WINDOW + 1
    assert door.log_in(request(), "right")


def test_guesses_from_many_addresses_are_slowed_down_too() -> None:
    door = access()
    for number in range(ALL_FAILURES):
        with pytest.raises(HTTPException):
            door.log_in(request(address=f"10.0.1.{number}"), "wrong")
    with pytest.raises(HTTPException) as error:
        door.log_in(request(address="10.0.2.1"), "right")
    assert status(error) == 429


def test_a_link_signed_by_the_app_opens_a_session_until_it_ends() -> None:
    door = access(word=None)
    cookie = door.follow_link(link(NOW + 60))
    assert cookie is not None
    assert door.session(request(cookie=cookie)) is not None
    assert door.follow_link(link(NOW)) is None
    assert door.follow_link(link(NOW + LONGEST_LINK + 1)) is None
    assert door.follow_link(link(NOW + 60, "another secret")) is None
    assert door.follow_link(cookie) is None


@pytest.mark.parametrize(
    ("host", "is_session"), [("127.0.0.1:6001", True), ("localhost", True), ("rebound.example", False)]
)
def test_the_demo_is_open_by_a_name_of_this_machine_only(host: str, is_session: bool) -> None:
    assert (access(word=None, is_open=True).session(request(host=host)) is not None) is is_session


def test_a_change_needs_the_token_of_the_same_session() -> None:
    door = access()
    cookie, other = door.log_in(request(), "right"), door.log_in(request(), "right") + ""
    session = door.require(request(cookie=cookie))
    assert door.require_change(request({"x-csrf-token": session.csrf}, cookie=other)) == session
    for token in ("", "x", "ä"):
        with pytest.raises(HTTPException) as error:
            door.require_change(request({"x-csrf-token": token}, cookie=cookie))
        assert status(error) == 403
    with pytest.raises(HTTPException) as error:
        door.require_change(request({"x-csrf-token": session.csrf}))
    assert status(error) == 401


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("http://ws.local:6001", True), ("https://ws.example.com", True), ("https://evil.example", False),
        ("https://ws.example.com.evil.example", False), ("null", False),
    ],
)  # fmt: skip
def test_other_sites_may_neither_log_in_nor_change_anything(origin: str, is_allowed: bool) -> None:
    door = access()
    cookie = door.new_session()
    headers = {"origin": origin, "x-csrf-token": door.require(request(cookie=cookie)).csrf}
    if is_allowed:
        assert door.log_in(request(headers), "right")
        assert door.require_change(request(headers, cookie=cookie))
        return
    for change in (
        lambda: door.log_in(request(headers), "right"),
        lambda: door.require_change(request(headers, cookie=cookie)),
    ):
        with pytest.raises(HTTPException) as error:
            change()
        assert status(error) == 403
