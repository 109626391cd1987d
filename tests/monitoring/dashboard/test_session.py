"""Who may look: password, signed link, this machine; nobody else, and nothing changes without the token."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from bridge.monitoring.dashboard.session import (
    BROWSER_COOKIE,
    COOKIE,
    FORGIVEN,
    FREE,
    GATE_LIFE,
    LIFE,
    LONGEST_LINK,
    LONGEST_WAIT,
    MOST,
    SessionGuard,
)
from bridge.secret import Secret

NOW = 1_800_000_000.0
SECRET = Secret("app-secret")


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def access(clock: Clock | None = None, *, word: str | None = "right", is_open: bool = False) -> SessionGuard:
    return SessionGuard(
        password=Secret(word) if word else None,
        link_secret=SECRET,
        is_open=is_open,
        origins=["https://ws.example.com"],
        clock=clock or Clock(),
    )


def request(
    headers: Mapping[str, str] | None = None,
    *,
    cookie: str = "",
    browser: str = "",
    host: str = "ws.local:6001",
    address: str = "10.0.0.9",
) -> Request:
    cookies = {COOKIE: cookie, BROWSER_COOKIE: browser}
    sent = "; ".join(f"{name}={value}" for name, value in cookies.items() if value)
    given = {"host": host, **(headers or {}), **({"cookie": sent} if sent else {})}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {
        "type": "http", "method": "POST", "path": "/", "headers": raw, "client": (address, 1),
        "scheme": "http", "query_string": b"", "server": ("x", 1),
    }  # fmt: skip
    return Request(scope)


def status(error: pytest.ExceptionInfo[HTTPException]) -> int:
    return error.value.status_code


def link(expires: float, secret: str = SECRET.reveal(), nonce: str = "") -> str:
    parts = [f"{expires:.0f}", *([nonce] if nonce else [])]
    text = f"bridge-dashboard:{':'.join(parts)}"
    return ".".join([*parts, hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()])


def logged_in(door: SessionGuard, **given: str) -> str:
    return door.log_in(request(**given), "right")[0]  # type: ignore[arg-type]


def refused(door: SessionGuard, word: str = "wrong", **given: str) -> int:
    with pytest.raises(HTTPException) as error:
        door.log_in(request(**given), word)  # type: ignore[arg-type]
    return error.value.status_code


def test_the_password_opens_a_session_that_ends() -> None:
    clock = Clock()
    door = access(clock)
    cookie = logged_in(door)
    assert door.session(request(cookie=cookie)) is not None
    clock.now += LIFE - 1
    assert door.session(request(cookie=cookie)) is not None
    clock.now += 2
    assert door.session(request(cookie=cookie)) is None


def test_no_two_sessions_are_alike_and_none_can_be_made_from_the_secrets() -> None:
    door, twin = access(), access()
    cookies = {logged_in(door), logged_in(door), logged_in(twin)}
    assert len(cookies) == 3
    assert twin.session(request(cookie=logged_in(door))) is None
    tokens = {door.require(request(cookie=logged_in(door))).csrf for _ in range(3)}
    assert len(tokens) == 3


def test_logging_out_ends_the_session_and_no_other() -> None:
    door = access()
    mine, other = logged_in(door), logged_in(door)
    door.log_out(request(cookie=mine))
    assert door.session(request(cookie=mine)) is None
    assert door.session(request(cookie=other)) is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"password": Secret("other"), "link_secret": SECRET},
        {"password": None, "link_secret": SECRET},
        {"password": Secret("right"), "link_secret": Secret("new")},
    ],
)
def test_a_changed_password_or_link_secret_ends_all_sessions(changed: dict[str, Any]) -> None:
    door = access()
    cookies = [logged_in(door), door.follow_link(request(), link(NOW + 60)) or ""]
    door.use(password=Secret("right"), link_secret=SECRET, origins=["https://other.example"])
    assert all(door.session(request(cookie=cookie)) for cookie in cookies)
    door.use(**changed, origins=())
    assert not any(door.session(request(cookie=cookie)) for cookie in cookies)


def test_a_link_says_what_its_session_may_and_cannot_be_made_to_say_more() -> None:
    door = access()

    def may(token: str) -> bool | None:
        session = door.session(request(cookie=door.follow_link(request(), token) or "none"))
        return None if session is None else session.may_do

    looks = link(NOW + 60, nonce="n:look")
    parts = looks.replace(":", ".").split(".")
    assert len(parts) == 4
    assert may(".".join([parts[0], parts[1], "do", parts[3]])) is None
    assert may(".".join([parts[0], parts[1], parts[3]])) is None
    assert may(".".join(parts)) is False
    assert may(link(NOW + 60, nonce="look")) is False, "without a nonce"
    assert may(link(NOW + 60, nonce="m:do").replace(":", ".")) is True
    assert may(link(NOW + 60, nonce="o")) is True


@pytest.mark.parametrize("may_do", [True, False])
def test_the_route_of_the_documentation_makes_links_that_are_good(may_do: bool) -> None:
    page = (Path(__file__).parents[3] / "docs/dashboard.md").read_text(encoding="utf-8")
    [route] = re.findall(r"```php\n(Route::get.*?)```", page, re.DOTALL)
    around = f"""
        class Route {{ static function get($path, $work) {{ echo $work(); return new Route; }}
                       function middleware($name) {{ return $this; }} }}
        class Gate {{ static function authorize($name) {{ }}
                      static function allows($name) {{ return {json.dumps(may_do)}; }} }}
        function config($key) {{ return '{SECRET.reveal()}'; }}
        function redirect($url) {{ return $url; }}
    """
    code = around + route
    done = subprocess.run(["php", "-r", code], capture_output=True, text=True, timeout=60, check=True)
    door = SessionGuard(password=None, link_secret=SECRET, gate="https://example.com/bridge")
    cookie = door.follow_link(request(), done.stdout.partition("?token=")[2])
    session = door.session(request(cookie=cookie or ""))
    assert session is not None
    assert session.may_do is may_do


@pytest.mark.parametrize("may_do", [True, False])
def test_the_link_of_the_documentation_is_good(may_do: bool) -> None:
    page = (Path(__file__).parents[3] / "docs/dashboard.md").read_text(encoding="utf-8")
    [lines] = re.findall(r"```php\n(\$expires.*?)```", page, re.DOTALL)
    assert "'look'" in lines
    code = f"""
        function config($key) {{ return '{SECRET.reveal()}'; }}
        function redirect($url) {{ return $url; }}
        function link_of_the_page() {{ {lines.replace("'look'", "'do'" if may_do else "'look'")} }}
        echo link_of_the_page();
    """
    done = subprocess.run(["php", "-r", code], capture_output=True, text=True, timeout=60, check=True)
    door = SessionGuard(password=None, link_secret=SECRET)
    cookie = door.follow_link(request(), done.stdout.partition("?token=")[2])
    session = door.session(request(cookie=cookie or ""))
    assert session is not None
    assert session.may_do is may_do


def test_who_only_looks_changes_nothing_but_may_log_out() -> None:
    door = access()
    token = link(NOW + 60, nonce="n:look").replace(":", ".")
    cookie = door.follow_link(request(), token) or ""
    session = door.session(request(cookie=cookie))
    assert session is not None
    asked = request({"x-csrf-token": session.csrf}, cookie=cookie)
    with pytest.raises(HTTPException) as error:
        door.require_change(asked)
    assert (status(error), "look" in error.value.detail) == (403, True)
    assert door.require_change(asked, does=False) is session


def test_the_apps_gate_is_asked_again_after_an_hour() -> None:
    clock = Clock()
    door = access(clock)
    door.use(password=Secret("right"), link_secret=SECRET, gate="https://app.example/bridge", origins=())
    cookies = [door.follow_link(request(), link(NOW + 60)) or "", logged_in(door)]
    clock.now = NOW + GATE_LIFE - 1
    assert all(door.session(request(cookie=cookie)) for cookie in cookies)
    clock.now = NOW + GATE_LIFE + 1
    assert [door.session(request(cookie=cookie)) is None for cookie in cookies] == [True, False]
    door.use(password=Secret("right"), link_secret=None, gate="https://app.example/bridge", origins=())
    assert door.gate is None, "nobody could come through"


def test_no_more_sessions_are_kept_than_anybody_needs() -> None:
    door = access()
    cookies = [logged_in(door) for _ in range(MOST + 1)]
    assert door.session(request(cookie=cookies[0])) is None
    assert door.session(request(cookie=cookies[-1])) is not None


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
    assert SessionGuard(password=None, link_secret=None).is_closed
    assert not access(word=None).is_closed


def test_wrong_passwords_slow_down_their_sender_and_nobody_else() -> None:
    clock = Clock()
    door = access(clock)
    session = logged_in(door)
    assert [refused(door) for _ in range(FREE)] == [403] * FREE
    assert refused(door, "right") == 429
    assert door.session(request(cookie=session)) is not None
    assert logged_in(door, address="10.0.0.10")
    clock.now += 1
    assert refused(door) == 403
    clock.now += 1
    assert refused(door, "right") == 429
    clock.now += 1
    assert logged_in(door)
    assert refused(door) == 403, "it starts again"


def test_the_wait_grows_up_to_a_minute_and_is_told() -> None:
    clock = Clock()
    door = access(clock)
    for _ in range(FREE + 20):
        assert refused(door) == 403
        clock.now += LONGEST_WAIT
    assert refused(door) == 403
    with pytest.raises(HTTPException) as error:
        door.log_in(request(), "right")
    assert (status(error), error.value.headers) == (429, {"Retry-After": f"{LONGEST_WAIT:.0f}"})
    clock.now += FORGIVEN + 1
    assert [refused(door) for _ in range(FREE)] == [403] * FREE


def test_a_browser_that_logged_in_once_waits_for_nobody_behind_the_same_proxy() -> None:
    door = access()
    cookie, browser = door.log_in(request(), "right")
    assert [refused(door) for _ in range(FREE)] == [403] * FREE
    assert refused(door, "right") == 429
    door.log_out(request(cookie=cookie))
    again, same = door.log_in(request(browser=browser), "right")
    assert (door.session(request(cookie=again)) is not None, same) == (True, browser)
    assert [refused(door, browser=browser) for _ in range(FREE)] == [403] * FREE
    assert refused(door, "right", browser=browser) == 429
    assert refused(door, "right", browser="x" * 43) == 429, "what was never given out is no browser"


@pytest.mark.parametrize(
    ("addresses", "waits"),
    [
        (["2001:db8::1", "2001:db8::2:0:0:3"], True), (["2001:db8::1", "2001:db8:0:1::1"], False),
        (["::ffff:10.0.0.9", "10.0.0.9"], True), (["10.0.0.8", "10.0.0.9"], False),
    ],
)  # fmt: skip
def test_a_network_of_ipv6_is_one_sender(addresses: list[str], waits: bool) -> None:
    door = access()
    for _ in range(FREE):
        refused(door, address=addresses[0])
    assert refused(door, address=addresses[1]) == (429 if waits else 403)


def test_a_link_signed_by_the_app_opens_a_session_until_it_ends() -> None:
    door = access(word=None)
    cookie = door.follow_link(request(), link(NOW + 60))
    assert cookie is not None
    assert door.session(request(cookie=cookie)) is not None
    assert door.follow_link(request(), link(NOW)) is None
    assert door.follow_link(request(), link(NOW + LONGEST_LINK + 1)) is None
    assert door.follow_link(request(), link(NOW + 60, "another secret")) is None
    assert door.follow_link(request(), cookie) is None


def test_a_link_is_good_once_and_those_of_one_second_differ_by_their_nonce() -> None:
    clock = Clock()
    door = access(clock, word=None)
    texts = [link(NOW + 60), link(NOW + 60, nonce="a-_9"), link(NOW + 60, nonce="b")]
    assert all(door.follow_link(request(), text) for text in texts)
    clock.now += 59
    assert not any(door.follow_link(request(), text) for text in texts)
    # what was signed as one text is no other link
    moved = texts[1].replace(".a-_9.", ".")
    assert door.follow_link(request(), moved) is None


def test_log_ins_and_links_are_told_with_the_address_and_refusals_cannot_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = access()
    with caplog.at_level("INFO"):
        cookie = logged_in(door)
        door.log_out(request(cookie=cookie))
        refused(door, "hunter2")
        good = link(NOW + 60, nonce="n")
        door.follow_link(request(), good)
        for _ in range(100):
            door.follow_link(request(), good)
            with contextlib.suppress(HTTPException):
                door.log_in(request(), "hunter2")
    said = [record.getMessage() for record in caplog.records]
    assert said[:5] == [
        "dashboard: logged in", "dashboard: logged out", "dashboard: log-in refused", "dashboard: link used",
        "dashboard: link refused",
    ]  # fmt: skip
    assert len(said) <= 5 + 2 * FREE
    assert {vars(record)["address"] for record in caplog.records} == {"10.0.0.9"}
    told = "".join(str(vars(record)) for record in caplog.records)
    assert not any(secret in told for secret in ("hunter2", "right", cookie, good))


@pytest.mark.parametrize(
    ("host", "is_session"), [("127.0.0.1:6001", True), ("localhost", True), ("rebound.example", False)]
)
def test_the_demo_is_open_by_a_name_of_this_machine_only(host: str, is_session: bool) -> None:
    assert (access(word=None, is_open=True).session(request(host=host)) is not None) is is_session


def test_a_change_needs_the_token_of_the_same_session() -> None:
    door = access()
    cookie, other = logged_in(door), logged_in(door)
    session = door.require(request(cookie=cookie))
    assert door.require_change(request({"x-csrf-token": session.csrf}, cookie=cookie)) == session
    for token in ("", "x", "ä", door.require(request(cookie=other)).csrf):
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
        ("https://ws.example.com.evil.example", False), ("null", False), ("http://[", False), ("", False),
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
