"""Channel, PrivateChannel, PresenceChannel, EncryptedPrivateChannel. Source: Broadcasting/*Channel.php."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.php.evaluate import Evaluator
from bridge.php.values import PhpObject, Value

_SPACE = "Illuminate\\Broadcasting\\"
HAS_BROADCAST_CHANNEL = "Illuminate\\Contracts\\Broadcasting\\HasBroadcastChannel"

# class → prefix, and whether a model given as the name is asked for its own channel
CHANNELS: dict[str, tuple[bytes, bool]] = {
    _SPACE + "Channel": (b"", True),
    _SPACE + "PrivateChannel": (b"private-", True),
    _SPACE + "PresenceChannel": (b"presence-", False),
    _SPACE + "EncryptedPrivateChannel": (b"private-encrypted-", False),
}


class ChannelClass:
    """A `bridge.php.evaluate.Native`."""

    def construct(self, php: Evaluator, class_name: str, arguments: Sequence[Value]) -> Value:
        prefix, asks = CHANNELS[class_name]
        if len(arguments) != 1:
            php.refuse(f"new {class_name} with {len(arguments)} arguments")
        name = arguments[0]
        if asks and isinstance(name, PhpObject) and php.is_a(name, HAS_BROADCAST_CHANNEL):
            name = php.call_method(name, "broadcastChannel")
        if prefix:
            name = prefix + php.text(name)
        return PhpObject(class_name, {b"name": name})

    def call(self, php: Evaluator, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        if method.lower() == "__tostring":
            return php.text(subject.properties.get(b"name"))
        php.refuse(f"the method {subject.class_name}::{method}()")

    def static(self, php: Evaluator, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"the static method {class_name}::{method}()")

    def read(self, php: Evaluator, subject: PhpObject, name: str) -> Value:
        if name != "name":
            php.refuse(f"the property {subject.class_name}::${name}")
        return subject.properties.get(b"name")

    def has(self, php: Evaluator, subject: PhpObject, name: str) -> bool:
        return name == "name"
