"""Until when a job may be tried that goes back into its queue: what its `retryUntil()` says now.

Source: Queue/Console/RetryCommand.php `refreshRetryUntil`. A broadcast has no such method; of other jobs the
app's source tells, and where it does not, only PHP can retry them.
"""

from __future__ import annotations

from bridge.errors import JobError, Refused
from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.laravel.payload import Decrypt
from bridge.phpeval.laravel import object_conversions
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.runtime.class_table import ClassTable
from bridge.phpeval.php.runtime.values import PhpObject, Value
from bridge.phpeval.php.serialization.unserialize import unserialize

_FRAMEWORK = "Illuminate\\"
_DELEGATES = frozenset(  # the framework's classes that have the method and ask what they hold; no others do
    {_FRAMEWORK + "Mail\\SendQueuedMailable", _FRAMEWORK + "Notifications\\SendQueuedNotifications"}
)
_ASK_PHP = "use `php artisan queue:retry` for it"


def refreshed(command: bytes, decrypt: Decrypt, environment: AppEnvironment) -> dict[bytes, Value]:
    """`retryUntil` for the payload of this `data.command`; nothing where the job has none. Or Refused."""
    held: list[PhpObject] = []
    try:
        instance = unserialize(command if command.startswith(b"O:") else decrypt(command), objects=held)
        if not isinstance(instance, PhpObject) or not _has_method(instance.class_name, environment.classes):
            return {}
        environment.require_unmodified_framework()
        php = new_evaluator(environment)
        object_conversions.restore(held, php, environment.restore_model)
        value = php.call_method(instance, "retryUntil")
        if isinstance(value, PhpObject):
            value = php.call_method(value, "getTimestamp")
    except JobError as problem:
        raise Refused(f"{problem}: {_ASK_PHP}") from problem
    if value is not None and not isinstance(value, int):
        raise Refused(f"retryUntil() gives neither a moment nor a number: {_ASK_PHP}")
    return {b"retryUntil": value}


def _has_method(name: str, classes: ClassTable) -> bool:
    """PHP's method_exists. Refused where a source that could have it is not known."""
    if name.startswith(_FRAMEWORK):
        if name in _DELEGATES:
            raise Refused(f"{name} asks what it holds for its retryUntil()")
        return False
    declared = classes.require(name)
    traits = [trait for use in declared.traits for trait in use.names]
    aliases = {alias.lower() for use in declared.traits for *_, alias in use.aliases if alias}
    if "retryuntil" in {*declared.methods, *aliases}:
        return True
    return any(_has_method(part, classes) for part in (declared.parent, *traits) if part)
