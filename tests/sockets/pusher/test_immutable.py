from bridge.sockets.pusher.hub_events import Connected


def test_a_value_is_its_fields_and_has_no_others() -> None:
    event = Connected(app_id="1", socket_id="1.1")
    assert event == Connected(app_id="1", socket_id="1.1")
    assert event != Connected(app_id="1", socket_id="1.2")
    assert repr(event) == "Connected(app_id='1', socket_id='1.1')"
    assert not hasattr(event, "__dict__")


def test_it_is_mypy_that_keeps_a_value_as_it_is() -> None:
    event = Connected(app_id="1", socket_id="1.1")
    event.app_id = "2"  # type: ignore[misc]  # mypy complains of this line if it has nothing to say here
