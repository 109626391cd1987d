"""Channel, PrivateChannel, PresenceChannel, EncryptedPrivateChannel. Source: Broadcasting/*Channel.php."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.phpeval.php.runtime.interpreter import Interpreter
from bridge.phpeval.php.runtime.object_model import construct
from bridge.phpeval.php.runtime.operators import Thrown
from bridge.phpeval.php.runtime.properties import slot
from bridge.phpeval.php.runtime.values import PhpObject, Value

_SPACE = "Illuminate\\Broadcasting\\"
CHANNEL = _SPACE + "Channel"
HAS_BROADCAST_CHANNEL = "Illuminate\\Contracts\\Broadcasting\\HasBroadcastChannel"

# class → prefix, and whether a model given as the name is asked for its own channel
CHANNELS: dict[str, tuple[bytes, bool]] = {
    _SPACE + "Channel": (b"", True),
    _SPACE + "PrivateChannel": (b"private-", True),
    _SPACE + "PresenceChannel": (b"presence-", False),
    _SPACE + "EncryptedPrivateChannel": (b"private-encrypted-", False),
}


class ChannelClass:
    """A `phpeval.php.runtime.interpreter.Native`, also of the channels that an app derives from these."""

    assignable = True  # $name, and properties that the app declares

    def construct(self, php: Interpreter, class_name: str, arguments: Sequence[Value]) -> Value:
        own = php.classes.require(class_name)
        if own.abstract or php.classes.method(class_name, "__get") is not None:
            php.refuse(f"new {class_name}")
        made = php.instantiate(class_name)
        constructor = php.classes.method(class_name, "__construct")
        if constructor is not None:
            construct(php, constructor, made, arguments, {})
        else:
            self._begin(php, made, arguments)
        return made

    @staticmethod
    def _begin(php: Interpreter, subject: PhpObject, arguments: Sequence[Value]) -> None:
        """Runs Laravel's constructor, that of the class in which the running code says `parent`."""
        if not arguments:
            raise Thrown("ArgumentCountError", f"Too few arguments to {subject.class_name}::__construct()")
        running = php.frame.class_name
        inside = bool(running) and php.frame.this is subject
        above = php.classes.chain(running if inside else subject.class_name)
        prefix, asks = next(CHANNELS[part.name] for part in above if part.name in CHANNELS)
        name = arguments[0]
        if asks and isinstance(name, PhpObject) and php.is_a(name, HAS_BROADCAST_CHANNEL):
            name = php.call_method(name, "broadcastChannel")
        subject.properties[b"name"] = prefix + php.text(name) if prefix else name

    def call(self, php: Interpreter, subject: PhpObject, method: str, arguments: Sequence[Value]) -> Value:
        match method.lower():
            case "__tostring":
                return php.text(subject.properties.get(b"name"))
            case "__construct":
                self._begin(php, subject, arguments)
                return None
        php.refuse(f"the method {subject.class_name}::{method}()")

    def static(self, php: Interpreter, class_name: str, method: str, arguments: Sequence[Value]) -> Value:
        php.refuse(f"the static method {class_name}::{method}()")

    def read(self, php: Interpreter, subject: PhpObject, name: str) -> Value:
        place = slot(php, subject, name)
        if place is None or place not in subject.properties:
            php.refuse(f"the property {subject.class_name}::${name}")
        return subject.properties[place]

    def has(self, php: Interpreter, subject: PhpObject, name: str) -> bool:
        return self.read(php, subject, name) is not None
