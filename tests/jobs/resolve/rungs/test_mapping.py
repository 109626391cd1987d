"""`[events."Class"]`: what a mapping sends, and what it refuses to guess."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bridge.errors import ConfigurationError, Refused
from bridge.jobs.resolve.rungs.mapping import EventMapping, MappingRung, Template
from bridge.laravel.broadcast_handler import Call, Connections
from bridge.laravel.payload import broadcast_event, read_payload
from bridge.laravel.unique_locks import UniqueLocks
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from tests.phpeval.laravel.eloquent.app import IDENTIFIER, job

MODEL = PhpObject(IDENTIFIER, {b"class": b"App\\Models\\Order", b"id": 7, b"relations": PhpArray()})
HELD: dict[int | bytes, Value] = {
    b"order": MODEL,
    b"n": 5,
    b"f": 1.0,
    b"t": b"text",
    b"list": PhpArray.of([b"a", PhpArray({b"k": True})]),
    b"\0*\0kept": b"inside",
    b"socket": b"1.2",
}


def call(channel: str = "c", name: str | None = None, payload: Mapping[str, Template] | None = None) -> Call:
    mapping = EventMapping(channels=(channel,), name=name, payload=payload)
    connections = Connections(drivers={"pusher": "pusher"}, default="pusher")
    locks = UniqueLocks(ConfigurationError("cache", "is missing"))
    rung = MappingRung({"App\\Events\\E": mapping}, connections, locks)
    payload_read = read_payload(job(PhpObject("App\\Events\\E", dict(HELD))))
    answer = rung.resolve(broadcast_event(payload_read, lambda text: text, version=(11, 0)))
    assert answer is not None
    (made,) = answer.calls
    return made


def test_places_are_filled_in_channels_and_names() -> None:
    made = call("private-{order.id}.{list.1.k}", "shipped.{t}", {})
    assert (made.channels, made.name) == (("private-7.1",), "shipped.text")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{n}", "5"),
        ("{f}", "1"),
        ("n is {n}", '"n is 5"'),
        ("{list}", '["a",{"k":true}]'),
        ("{list.1.k}", "true"),
        ("{order.class}", '"App\\\\Models\\\\Order"'),
        (["{n}", 1, None, True], "[5,1,null,true]"),
        ({"deep": {"n": "{n}"}}, '{"deep":{"n":5}}'),
        ("{ n }", '"{ n }"'),
    ],
)
def test_a_place_that_stands_alone_keeps_its_type(template: Template, text: str) -> None:
    assert call(payload={"it": template}).data == f'{{"it":{text}}}'


def test_the_socket_of_the_event_is_left_out() -> None:
    assert call(payload={}).socket == "1.2"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{order.secret}", "of a model only the id"),
        ("{order}", "sends a whole model"),
        ("x{list}", "which is no text"),
        ("{nowhere}", "which the event does not hold"),
        ("{list.9}", "which the event does not hold"),
        ("{n.deeper}", "which the event does not hold"),
    ],
)
def test_what_a_mapping_cannot_know_is_refused(template: Template, why: str) -> None:
    with pytest.raises(Refused, match=why):
        call(payload={"it": template})


def test_without_a_payload_a_model_is_not_sent_as_its_identifier() -> None:
    with pytest.raises(Refused, match="sends a whole model"):
        call()
