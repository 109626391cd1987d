"""The rung for Laravel's own events: Broadcast::on(), notifications, and events of broadcasting models.

Their classes are the framework's, so their rules are written here; what they ask of the app's notification,
notifiable or model is evaluated from the app's source, or refused. Facts: spec BroadcastEvent, section 5.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.errors import MissingModel, Refused, WouldFail
from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.jobs.resolve.resolution import Answer
from bridge.jobs.resolve.rungs.native import EvaluatedEvent, on_missing_model
from bridge.laravel.broadcast_handler import Connections, handle
from bridge.laravel.payload import BroadcastEvent
from bridge.phpeval.laravel import object_conversions
from bridge.phpeval.laravel.framework_classes import MODEL
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.runtime.operators import to_bool
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value

_SPACE = "Illuminate\\Broadcasting\\"
PRIVATE_CHANNEL = _SPACE + "PrivateChannel"
# Channels that hold their name and nothing else
_NAME_ONLY = frozenset(
    _SPACE + name for name in ("Channel", "EncryptedPrivateChannel", "PresenceChannel", "PrivateChannel")
)


class FrameworkRung:
    """See `NativeRung` for the arguments."""

    name = "framework"

    def __init__(
        self,
        environment_of: Callable[[Version], AppEnvironment],
        connections: Connections,
    ) -> None:
        self._environment_of = environment_of
        self._connections = connections

    def resolve(self, event: BroadcastEvent) -> Answer | None:
        subject_class = EVENTS.get(event.class_name)
        if subject_class is None:
            return None
        environment = self._environment_of(event.version)
        environment.require_unmodified_framework()
        php = new_evaluator(environment)
        try:
            object_conversions.restore(event.objects[1:], php, environment.restore_model)
        except MissingModel as missing:
            return on_missing_model(event, php, missing)
        subject = subject_class(event.event, php, event.version, environment.keeps_default)
        return Answer(calls=handle(subject, event.version, self._connections), path=php.path)


class _FrameworkEvent(EvaluatedEvent):
    def own(self, name: str) -> Value:
        """A property of the event, whatever its visibility."""
        return self._event.get(name)

    def object(self, name: str) -> PhpObject:
        """A property that must hold an object of a class whose source is known."""
        value = self.own(name)
        if not isinstance(value, PhpObject):
            raise WouldFail(f"the {name} of {self._event.class_name} is no object")
        self._php.classes.chain(value.class_name)
        return value

    def asks(self, subject: PhpObject, method: str) -> bool:
        """`method_exists`, for a class of the app."""
        return self._php.classes.method(subject.class_name, method) is not None

    def private(self, name: Value) -> PhpObject:
        native = self._php.environment.native(PRIVATE_CHANNEL)
        channel = native.construct(self._php, PRIVATE_CHANNEL, (name,)) if native is not None else None
        if not isinstance(channel, PhpObject):
            raise Refused("a private channel")
        return channel


class AnonymousEvent(_FrameworkEvent):
    """Broadcasting/AnonymousEvent.php, 11.5 and later."""

    def name(self) -> Value:
        name = self.own("name")
        return name if to_bool(name) else b"AnonymousEvent"

    def channels(self) -> Value:
        return self.own("channels")

    def payload(self) -> PhpArray:
        payload = self.own("payload")
        return self._merged(payload if isinstance(payload, PhpArray) else PhpArray())


class BroadcastNotificationCreated(_FrameworkEvent):
    """Notifications/Events/BroadcastNotificationCreated.php."""

    def name(self) -> Value:
        notification = self.object("notification")
        if self._version >= (10, 21) and self.asks(notification, "broadcastAs"):
            return self._php.call_method(notification, "broadcastAs")
        return self._event.class_name.encode()

    def channels(self) -> Value:
        notification, notifiable = self.object("notification"), self.object("notifiable")
        if self.asks(notification, "broadcastOn"):
            own = self._php.call_method(notification, "broadcastOn")
            if to_bool(own):
                return own
        if self.asks(notifiable, "receivesBroadcastNotificationsOn"):
            names = self._php.call_method(notifiable, "receivesBroadcastNotificationsOn", (notification,))
        elif self._php.is_a(notifiable, MODEL):
            key = self._php.text(self._php.call_method(notifiable, "getKey"))
            names = notifiable.class_name.replace("\\", ".").encode() + b"." + key
        else:
            raise Refused(f"the channel of a notifiable {notifiable.class_name}, which is no model")
        if isinstance(names, bytes):
            return PhpArray.of([self.private(names)])
        return PhpArray((key, self.private(name)) for key, name in self._php.iterable(names).items())

    def payload(self) -> PhpArray:
        notification = self.object("notification")
        if self.asks(notification, "broadcastWith"):
            given = self._php.call_method(notification, "broadcastWith")
            if not isinstance(given, PhpArray):
                raise WouldFail(f"{notification.class_name}::broadcastWith() gives no array")
            return self._merged(given)
        if self.asks(notification, "broadcastType"):
            kind = self._php.call_method(notification, "broadcastType")
        else:
            kind = notification.class_name.encode()
        data = self.own("data")
        payload = self._merged(data if isinstance(data, PhpArray) else PhpArray())
        del payload[b"socket"]
        payload[b"id"] = notification.get("id")
        payload[b"type"] = kind
        payload[b"socket"] = None
        return payload


class BroadcastableModelEventOccurred(_FrameworkEvent):
    """Database/Eloquent/BroadcastableModelEventOccurred.php, 8.45 and later."""

    def name(self) -> Value:
        model, event = self.object("model"), self._php.text(self.own("event"))
        if self.asks(model, "broadcastAs"):
            name = self._php.call_method(model, "broadcastAs", (event,))
            if to_bool(name):
                return name
        base = model.class_name.rsplit("\\", 1)[-1].encode()
        return base + event[:1].upper() + event[1:]

    def channels(self) -> Value:
        model, channels = self.object("model"), self.own("channels")
        if not to_bool(channels):
            if self.asks(model, "broadcastOn"):
                channels = self._php.call_method(model, "broadcastOn", (self.own("event"),))
            else:
                channels = PhpArray.of([model])
        if isinstance(channels, PhpObject):
            if channels.class_name not in _NAME_ONLY:  # `collect` makes an array of what the object holds
                raise Refused(f"a {channels.class_name} alone as the channels of a model's event")
            channels = PhpArray.of([channels])
        listed = channels if isinstance(channels, PhpArray) else PhpArray.of([channels] if channels else [])
        return PhpArray(
            (key, self.private(c) if isinstance(c, PhpObject) and self._php.is_a(c, MODEL) else c)
            for key, c in listed.items()
        )

    def payload(self) -> PhpArray:
        model = self.object("model")
        if self.asks(model, "broadcastWith"):
            given = self._php.call_method(model, "broadcastWith", (self.own("event"),))
            if given is not None:
                if not isinstance(given, PhpArray):
                    raise WouldFail(f"{model.class_name}::broadcastWith() gives no array")
                return self._merged(given)
        return self._properties()


EVENTS: dict[str, type[_FrameworkEvent]] = {
    "Illuminate\\Broadcasting\\AnonymousEvent": AnonymousEvent,
    "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated": BroadcastNotificationCreated,
    "Illuminate\\Database\\Eloquent\\BroadcastableModelEventOccurred": BroadcastableModelEventOccurred,
}
