"""Laravel's own events, held against real Laravel where it has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.phpeval.laravel.version import parse_version
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from tests.phpeval.laravel.eloquent.app import App, Case, app, job
from tests.versions import laravel_version

MODEL_EVENT = "Illuminate\\Database\\Eloquent\\BroadcastableModelEventOccurred"
ANONYMOUS = "Illuminate\\Broadcasting\\AnonymousEvent"


@pytest.fixture(scope="module")
def shared_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("framework") / "app") as made:
        made.serve_cases()
        yield made


@pytest.fixture
def case(shared_app: App) -> Iterator[Case]:
    made = Case(shared_app)
    yield made
    made.remove()


def model_event(case: Case, channels: Value) -> bytes:
    held: dict[int | bytes, Value] = {
        b"model": case.model(),
        b"\0*\0event": b"created",
        b"\0*\0channels": channels,
        b"connection": None,
        b"queue": None,
        b"afterCommit": None,
    }
    return job(PhpObject(MODEL_EVENT, held))


CHANNELS = {
    "[$this]": True,
    "new Channel('c')": True,
    "new PrivateChannel('c')": True,
    "[new Channel('c'), $this]": True,
    "'text'": True,
    "$this": False,
    "new Sub('s')": False,
    "collect([new Channel('c')])": False,
}


@pytest.mark.parametrize("channels", CHANNELS)
def test_the_channels_of_a_model_s_event(case: Case, channels: str) -> None:
    case.add("Sub", "class Sub extends Channel { public $meta = 'extra'; }")
    trait = "use \\Illuminate\\Database\\Eloquent\\BroadcastsEvents;"
    case.post(f"{trait} public function broadcastOn($event) {{ return {channels}; }}")
    payload = model_event(case, PhpArray())
    ours = case.app.native(payload, only=("framework",))
    if CHANNELS[channels]:
        assert ours.broadcasts == case.app.laravel(payload).broadcasts != ()
    else:
        assert ours.outcome == "refused"


@pytest.mark.parametrize(("name", "sent"), [(b"", "AnonymousEvent"), (b"0", "AnonymousEvent"), (b"n", "n")])
def test_an_anonymous_event_without_a_name_has_that_of_its_class(case: Case, name: bytes, sent: str) -> None:
    """Since Laravel 11.5."""
    held: dict[int | bytes, Value] = {
        b"\0*\0connection": None,
        b"\0*\0name": name,
        b"\0*\0payload": PhpArray(),
        b"\0*\0includeCurrentUser": True,
        b"\0*\0shouldBroadcastNow": False,
        b"\0*\0channels": PhpArray.of([b"c"]),
        b"\0*\0broadcastConnection": PhpArray.of([None]),
        b"socket": None,
    }
    payload = job(PhpObject(ANONYMOUS, held))
    ours = case.app.native(payload, version="13.0", only=("framework",))
    assert [call.name for call in ours.broadcasts] == [sent], ours
    if parse_version(laravel_version()) >= (11, 5):
        assert ours.broadcasts == case.app.laravel(payload).broadcasts
