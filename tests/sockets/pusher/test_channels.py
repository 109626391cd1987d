from pathlib import Path

import pytest

import bridge
from bridge.broadcast import CHANNEL_CHARACTERS
from bridge.sockets.pusher.channels import KINDS, is_publishable, is_valid, kind_of


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("news", ""),
        ("private-encrypted-cache-x", "private-encrypted-cache-"),
        ("private-encrypted-x", "private-encrypted-"),
        ("private-cache-x", "private-cache-"),
        ("private-x", "private-"),
        ("presence-cache-x", "presence-cache-"),
        ("presence-x", "presence-"),
        ("cache-x", "cache-"),
        ("privateers", ""),
        ("presences", ""),
        ("my-cache-x", ""),
        ("my-private-x", ""),
        ("Private-x", ""),
    ],
)
def test_the_longest_prefix_at_the_start_decides_the_kind(name: str, prefix: str) -> None:
    assert kind_of(name).prefix == prefix


def test_the_table_has_longer_prefixes_first() -> None:
    lengths = [len(kind.prefix) for kind in KINDS]
    assert lengths == sorted(lengths, reverse=True)


def test_whoever_has_members_or_client_events_needs_a_signature() -> None:
    assert all(kind.needs_auth for kind in KINDS if kind.has_members or kind.client_events)
    assert not any(kind.client_events for kind in KINDS if kind.is_encrypted)


@pytest.mark.parametrize("name", ["a", "private-orders.7", "presence-a_b=c@d,e.f;g", "x" * 164])
def test_a_name_of_allowed_characters_is_valid(name: str) -> None:
    assert is_valid(name, 164)


@pytest.mark.parametrize(
    "name", ["", "x" * 165, "a b", "a\n", "a:b", "a/b", "a*", "#a", "ä", "a\x00", "a\x1b[0m", "\u0430"]
)
def test_a_name_with_anything_else_is_not(name: str) -> None:
    assert not is_valid(name, 164)


def test_a_users_own_channel_is_published_to_and_not_subscribed_to() -> None:
    assert is_publishable("#server-to-user-7", 164)
    assert not is_valid("#server-to-user-7", 164)
    assert not is_publishable("#server-to-user-", 164)
    assert not is_publishable("#other", 164)


def test_php_is_told_the_same_characters() -> None:
    php = Path(bridge.__file__).parent / "jobs/resolve/rungs/php.php"
    assert f"'/\\A#?[{CHANNEL_CHARACTERS}]+\\z/'" in php.read_text()
