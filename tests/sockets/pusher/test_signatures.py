"""The vectors are those of Pusher's documentation, checked."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sockets.pusher import signatures
from bridge.sockets.pusher.app import App

KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
APP = App(id="3", key=KEY, secret=SECRET)
BODY = b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'
PARAMETERS = [
    ("auth_key", KEY),
    ("auth_timestamp", "1353088179"),
    ("auth_version", "1.0"),
    ("body_md5", "ec365a775a4cd0599faeb73354201b6f"),
    ("auth_signature", "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"),
]
PRIVATE = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"


def refusal(
    parameters: list[tuple[str, str]],
    *,
    method: str = "POST",
    path: str = "/apps/3/events",
    body: bytes = BODY,
    now: float = 1353088179,
    app: App = APP,
) -> str | None:
    return signatures.refusal(app, method=method, paths=[path], parameters=parameters, body=body, now=now)


def changed(**values: str) -> list[tuple[str, str]]:
    return [(name, values.get(name, value)) for name, value in PARAMETERS]


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (signatures.subscription_text("1234.1234", "private-foobar", None), PRIVATE),
        (
            signatures.signin_text("1234.1234", '{"id":"12345"}'),
            "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
        ),
        (
            signatures.subscription_text(
                "1234.1234", "presence-foobar", '{"user_id":10,"user_info":{"name":"Mr. Channels"}}'
            ),
            "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
        ),
        (
            signatures.subscription_text(
                "1234.1234", "presence-foobar", '{"user_id":10,"user_info":{"name":"Mr. Pusher"}}'
            ),
            "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c",
        ),
    ],
)
def test_the_documented_vectors(text: str, digest: str) -> None:
    assert signatures.sign(SECRET, text) == digest
    assert signatures.verify(APP, f"{KEY}:{digest}", text)


@given(secret=st.text(max_size=100), text=st.text(max_size=300))
def test_a_signature_is_the_hmac_of_the_standard_library(secret: str, text: str) -> None:
    known = hmac.digest(secret.encode(), text.encode(), "sha256").hex()
    assert signatures.sign(secret, text) == known
    assert signatures.sign(secret, text.encode()) == known, "the key is as it was"


@pytest.mark.parametrize(
    "auth",
    [
        "",
        ":",
        PRIVATE,
        f"{KEY}:",
        f"other:{PRIVATE}",
        f"{KEY}:{PRIVATE[:-1]}",
        f"{KEY}:{PRIVATE.upper()}",
        f"{KEY}:{PRIVATE}0",
        f"{KEY} :{PRIVATE}",
        f"{KEY}:{PRIVATE.replace('5', chr(0xFF15))}",
        f"{KEY}:\ud800",
    ],
)
def test_another_key_or_signature_is_refused(auth: str) -> None:
    assert not signatures.verify(APP, auth, "1234.1234:private-foobar")


@given(st.text(max_size=80))
def test_no_text_passes_for_a_signature(auth: str) -> None:
    assert not signatures.verify(APP, auth, "1234.1234:private-foobar")


def test_a_previous_secret_is_believed_while_it_is_listed() -> None:
    rotated = App(id="3", key=KEY, secret="new", previous_secrets=("older", SECRET))
    assert signatures.verify(rotated, f"{KEY}:{PRIVATE}", "1234.1234:private-foobar")
    assert refusal(PARAMETERS, app=rotated) is None
    only_new = App(id="3", key=KEY, secret="new")
    assert not signatures.verify(only_new, f"{KEY}:{PRIVATE}", "1234.1234:private-foobar")


def test_the_documented_request_is_believed_in_any_order_and_case_of_its_parameters() -> None:
    assert refusal(PARAMETERS) is None
    assert refusal([(name.upper(), value) for name, value in reversed(PARAMETERS)]) is None


@pytest.mark.parametrize("name", [name for name, _ in PARAMETERS])
def test_a_missing_parameter_is_named(name: str) -> None:
    problem = refusal([pair for pair in PARAMETERS if pair[0] != name])
    assert problem == f"{name} is missing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth_key", "other"),
        ("auth_timestamp", "1353088180"),  # signed differently
        ("auth_timestamp", "-5"),
        ("auth_timestamp", "\u0661\u0663\u0665"),
        ("auth_version", "2.0"),
        ("body_md5", hashlib.md5(b"other").hexdigest()),
        ("auth_signature", "0" * 64),
    ],
)
def test_a_changed_parameter_is_refused_by_name(name: str, value: str) -> None:
    problem = refusal(changed(**{name: value}))
    assert problem is not None
    if value != "1353088180":
        assert name in problem


def test_the_clock_may_differ_by_ten_minutes_either_way() -> None:
    assert refusal(PARAMETERS, now=1353088179 + 600) is None
    assert refusal(PARAMETERS, now=1353088179 - 600) is None
    for now in (1353088179 + 601, 1353088179 - 601):
        problem = refusal(PARAMETERS, now=now)
        assert problem is not None
        assert "auth_timestamp" in problem


def test_method_path_and_body_are_bound() -> None:
    assert refusal(PARAMETERS, method="GET")
    assert refusal(PARAMETERS, path="/apps/4/events")
    assert refusal(PARAMETERS, body=BODY + b" ")


def test_a_parameter_given_twice_is_refused() -> None:
    assert refusal([*PARAMETERS, ("AUTH_KEY", KEY)]) == "a query parameter is given twice"


def test_an_extra_parameter_is_bound_too() -> None:
    assert refusal([*PARAMETERS, ("info", "user_count")]) == "auth_signature is wrong"
