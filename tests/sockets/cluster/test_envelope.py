"""Envelopes are believed only as they were sealed, for the place that they were sealed for."""

from __future__ import annotations

import hmac
from dataclasses import replace

import pytest

from bridge.sockets.cluster.envelope import (
    CLIENT_EVENT,
    CODE,
    EVENT,
    OWN,
    OWN_BYTES,
    Code,
    Forged,
    Own,
    Sealer,
)
from bridge.sockets.pusher.app import Limits
from bridge.sockets.pusher.shared_channel import Message
from tests.sockets.server.running import APP

PLACE = b"app-id:a"


@pytest.mark.parametrize("is_own", [True, False], ids=["by the one that sealed it", "by another node"])
@pytest.mark.parametrize("kind", [EVENT, CLIENT_EVENT])
def test_an_envelope_is_opened_as_often_as_it_comes_and_only_as_it_is(is_own: bool, kind: int) -> None:
    sealer = Sealer(APP, Own())
    opener = sealer if is_own else Sealer(APP, Own())

    def forged(place: bytes, data: bytes) -> bool:
        for read in (opener.open, opener.event):
            with pytest.raises(Forged):
                read(place, data)
        return True

    for wrong in ("place", "text", "excluded", "kind"):
        data = sealer.seal(PLACE, kind, '{"a":"ä"}', "1.2")
        changed = {
            "place": data,
            "text": data.replace(b'"a"', b'"b"'),
            "excluded": data.replace(b"1.2", b"1.3"),
            "kind": data[:1] + bytes((3,)) + data[2:],
        }[wrong]
        assert forged(b"app-id:b" if wrong == "place" else PLACE, changed)
        for _ in range(2):
            opened = opener.open(PLACE, data)
            assert (opened.kind, opened.text, opened.excluded) == (kind, '{"a":"ä"}', "1.2")
            assert opened.tag == data[2:10]
            if kind == EVENT:
                assert opener.event(PLACE, data) == Message('{"a":"ä"}', data[2:10], "1.2")
            else:
                with pytest.raises(Forged):
                    opener.event(PLACE, data)


@pytest.mark.parametrize("size", [1, OWN_BYTES // 10, 2 * OWN_BYTES])
def test_more_envelopes_than_are_known_by_comparison_are_opened_too(size: int) -> None:
    own = Own()
    apps = [replace(APP, id=name, limits=Limits(event_bytes=size)) for name in ("app-id", "another")]
    sealers = [Sealer(app, own) for app in apps]
    texts = [str(number).rjust(size) for number in range(3 * OWN if size == 1 else 12)]
    sealed = [sealers[at % 2].seal(PLACE, EVENT, text) for at, text in enumerate(texts)]
    assert len(own) <= OWN
    assert own.size <= max(OWN_BYTES, len(sealed[-1]))
    assert [sealers[at % 2].event(PLACE, data).text for at, data in enumerate(sealed)] == texts
    assert (len(own), own.size) == (0, 0)


def test_with_another_secret_nothing_is_opened() -> None:
    with pytest.raises(Forged):
        Sealer(replace(APP, secret="another"), Own()).open(PLACE, Sealer(APP, Own()).seal(PLACE, EVENT, "x"))


@pytest.mark.parametrize("size", [0, 1, 55, 56, 64, 1_000])
def test_the_code_is_hmac_sha256(size: int) -> None:
    code, data = Code(b"k" * 32), bytes(range(256)) * 4
    for _ in range(2):
        assert code(data[:size]) == hmac.digest(b"k" * 32, data[:size], "sha256")[:CODE]
