"""JSON text ↔ messages of the Pusher protocol. One message is one text frame.

What comes in becomes a value here, once; nothing behind checks types again. What goes out is written
as ASCII with `\\uXXXX` escapes, as PHP does: then no text, however broken, can make an invalid frame.
Sources: Pusher channels documentation "Protocol"; pusher-js 8.6 `core/connection/protocol/protocol.ts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from json.encoder import encode_basestring_ascii
from typing import Any, NoReturn, TypeAlias

from bridge.errors import ProtocolError
from bridge.sockets.pusher.close_codes import MALFORMED
from bridge.sockets.pusher.immutable import immutable

quote: Callable[[str], str] = encode_basestring_ascii


@immutable
class Subscribe:
    """`channel_data` is the text as sent: it is what was signed."""

    channel: str
    auth: str
    channel_data: str | None


@immutable
class Unsubscribe:
    channel: str


@immutable
class Signin:
    """`user_data` is the text as sent: it is what was signed."""

    auth: str
    user_data: str


@immutable
class ClientEvent:
    """`data` is JSON text; `size` its bytes of UTF-8, or those of the string inside when it is one."""

    name: str
    channel: str
    data: str
    size: int


@immutable
class Ping:
    pass


@immutable
class Pong:
    pass


Message: TypeAlias = Subscribe | Unsubscribe | Signin | ClientEvent | Ping | Pong


def read(text: str) -> Message:
    """The message in a text frame. Raises ProtocolError 4300 for anything that is none."""
    message = _object(parse(text, "the message"), "the message")
    event = _string(message, "event")
    if event.startswith("client-"):
        return _client_event(event, message)
    reader = _READERS.get(event)
    if reader is None:
        raise ProtocolError(MALFORMED, "event is not one that clients may send")
    return reader(message)


def parse(text: str, what: str) -> Any:
    """The JSON value in `text`, without NaN and Infinity. Raises ProtocolError 4300, naming `what`."""
    try:
        if text.startswith("{"):
            value, end = _DECODER.raw_decode(text)
            if end == len(text):
                return value
        return _DECODER.decode(text)  # what is no object alone; it takes half as long again
    except (ValueError, RecursionError):
        raise ProtocolError(MALFORMED, f"{what} is not JSON") from None


def to_json(value: Any) -> str:
    """Compact ASCII JSON. Raises ProtocolError 4300 for a number too large for JSON readers."""
    try:
        return _ENCODER.encode(value)
    except (ValueError, RecursionError):
        raise ProtocolError(MALFORMED, "data holds a number that JSON cannot carry") from None


def utf8_size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def json_size(value: Any, text: str) -> int:
    """Bytes of the value as JSON in UTF-8, given its ASCII text: escapes make nothing longer than it is."""
    return len(text) if "\\u" not in text else utf8_size(_UTF8_ENCODER.encode(value))


# Server to client -------------------------------------------------------------------------------------

PING = '{"event":"pusher:ping","data":{}}'
GAP = "bridge:gap"
PONG = '{"event":"pusher:pong","data":{}}'


def connection_established(socket_id: str, activity_timeout: int) -> str:
    data = f'{{"socket_id":{quote(socket_id)},"activity_timeout":{activity_timeout}}}'
    return f'{{"event":"pusher:connection_established","data":{quote(data)}}}'


def error(code: int, message: str) -> str:
    return f'{{"event":"pusher:error","data":{{"message":{quote(message)},"code":{code}}}}}'


def event(name: str, channel: str, data: str) -> str:
    """An event from the app; `data` is delivered as exactly this string."""
    return f'{{"event":{quote(name)},"channel":{quote(channel)},"data":{quote(data)}}}'


def client_event(message: ClientEvent, user_id: str | None) -> str:
    """As the sender sent it, with the sender's `user_id` on presence channels."""
    who = "" if user_id is None else f',"user_id":{quote(user_id)}'
    return f'{{"event":{quote(message.name)},"channel":{quote(message.channel)},"data":{message.data}{who}}}'


def subscription_succeeded(channel: str) -> str:
    return event("pusher_internal:subscription_succeeded", channel, "{}")


def subscription_error(channel: str, kind: str, problem: str, status: int) -> str:
    """`pusher:subscription_error` is what Echo's `.error()` listens to."""
    data = f'{{"type":{quote(kind)},"error":{quote(problem)},"status":{status}}}'
    return f'{{"event":"pusher:subscription_error","channel":{quote(channel)},"data":{data}}}'


def roster_entry(user_id: str, info: str | None) -> tuple[str, str]:
    """A member's two parts of a roster, its id and its information (JSON text), for `roster_succeeded`."""
    key = quote(user_id)
    return quote(key)[1:-1], quote(f"{key}:{info or '{}'}")[1:-1]


def roster_succeeded(channel: str, ids: Collection[str], infos: Iterable[str]) -> str:
    """A presence channel's confirmation, given the parts of each member's `roster_entry`.

    `hash` is an object also when it is empty or its keys count from 0: pusher-js reads it by key.
    """
    return (
        f'{{"event":"pusher_internal:subscription_succeeded","channel":{quote(channel)},"data":'
        f'"{{\\"presence\\":{{\\"ids\\":[{",".join(ids)}],\\"hash\\":{{{",".join(infos)}}},\\"count\\":{len(ids)}}}}}"}}'
    )


def member_added(channel: str, user_id: str, info: str | None) -> str:
    user_info = "" if info is None else f',"user_info":{info}'
    return event("pusher_internal:member_added", channel, f'{{"user_id":{quote(user_id)}{user_info}}}')


def member_removed(channel: str, user_id: str) -> str:
    return event("pusher_internal:member_removed", channel, f'{{"user_id":{quote(user_id)}}}')


def cache_miss(channel: str) -> str:
    return event("pusher:cache_miss", channel, "{}")  # pusher-websocket-java fails where there is no data


def subscription_count(channel: str, subscriptions: int) -> str:
    data = f'{{"subscription_count":{subscriptions}}}'
    return event("pusher_internal:subscription_count", channel, data)


def gap(channel: str, *, is_encrypted: bool = False) -> str:
    """Events of the channel may be missing before this. On encrypted channels the prefix keeps pusher-js from
    taking it for a sealed event."""
    return event(f"pusher:{GAP}" if is_encrypted else GAP, channel, "{}")


def watchlist_event(name: str, user_ids: Iterable[str]) -> str:
    """`name` is `online` or `offline`."""
    ids = ",".join(quote(user_id) for user_id in user_ids)
    data = f'{{"events":[{{"name":{quote(name)},"user_ids":[{ids}]}}]}}'
    return f'{{"event":"pusher_internal:watchlist_events","data":{quote(data)}}}'


def signin_success(user_data: str) -> str:
    data = f'{{"user_data":{quote(user_data)}}}'
    return f'{{"event":"pusher:signin_success","data":{quote(data)}}}'


# Client to server -------------------------------------------------------------------------------------


def _subscribe(message: dict[str, Any]) -> Subscribe:
    data = _data(message)
    auth, channel_data = data.get("auth"), data.get("channel_data")
    if not isinstance(auth, str | None):
        raise ProtocolError(MALFORMED, "data.auth is not a string")
    if not isinstance(channel_data, str | None):
        raise ProtocolError(MALFORMED, "data.channel_data is not a string")
    return Subscribe(channel=_string(data, "channel"), auth=auth or "", channel_data=channel_data)


def _unsubscribe(message: dict[str, Any]) -> Unsubscribe:
    return Unsubscribe(channel=_string(_data(message), "channel"))


def _signin(message: dict[str, Any]) -> Signin:
    data = _data(message)
    return Signin(auth=_string(data, "auth"), user_data=_string(data, "user_data"))


def _client_event(name: str, message: dict[str, Any]) -> ClientEvent:
    data = message.get("data")
    text = to_json(data)
    size = utf8_size(data) if isinstance(data, str) else json_size(data, text)
    return ClientEvent(name=name, channel=_string(message, "channel"), data=text, size=size)


def _data(message: dict[str, Any]) -> dict[str, Any]:
    """The message's data, which clients send as an object and may send as a string that holds one."""
    data = message.get("data")
    return _object(parse(data, "data") if isinstance(data, str) else data, "data")


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ProtocolError(MALFORMED, f"{name} is not a JSON object")
    return value


def _string(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise ProtocolError(MALFORMED, f"{name} is not a string")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


_PING, _PONG = Ping(), Pong()
_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "pusher:subscribe": _subscribe,
    "pusher:unsubscribe": _unsubscribe,
    "pusher:signin": _signin,
    "pusher:ping": lambda message: _PING,
    "pusher:pong": lambda message: _PONG,
}
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_UTF8_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), ensure_ascii=False)
