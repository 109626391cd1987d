from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st

from bridge.sockets.cluster.names import CONTROL_CHANNEL, TYPES, Names, place_of, split_place
from bridge.sockets.pusher.channels import USER_CHANNEL

NAMES = st.text(st.characters(exclude_categories=["Cs"]))


@given(NAMES, NAMES)
@example("7", "presence-a_b=c@d,e.f;g")
@example("a@b", "orders\n")
def test_a_place_is_quoted_and_leads_back(app_id: str, channel: str) -> None:
    place = place_of(app_id, channel)
    assert split_place(place) == (app_id, channel)
    assert not {b" ", b"{", b"}", b"\n"} & {place[at : at + 1] for at in range(len(place))}
    assert place.count(b":") == 1
    if channel != CONTROL_CHANNEL and not channel.startswith(USER_CHANNEL):
        assert place == f"{quote(app_id, safe='')}:{quote(channel, safe='-_=@,.;')}".encode()


def test_a_key_names_its_kind_behind_the_prefix() -> None:
    names = Names("app_", 0)
    for kind in TYPES:
        assert names.key(kind, b"1:orders") == b"app_bridge:1:" + kind.encode() + b":1:orders"
