"""Every error bridge raises on purpose. Each names the thing and the mend in one sentence.

    BridgeError
    ├── ConfigurationError       a setting is wrong or missing: stops the start, exit 78
    ├── UsageError               the command line is wrong: exit 2
    ├── ServiceUnavailable       a database or Redis does not answer: try again later, exit 69 at the start
    │   └── Released             the app itself put the job back: it may go otherwise at the next try
    ├── JobError                 this job cannot be broadcast (never retried by itself: see `queues.worker`)
    │   ├── Refused              the allowed rungs cannot know what Laravel would do
    │   └── WouldFail            Laravel itself would throw: bad channel, exception in a method, …
    │       ├── Unreadable       the payload or its serialized command is not well-formed
    │       └── MissingModel     a model of the event is no longer in the database
    └── ProtocolError            a Pusher client broke a rule: carries the code for `pusher:error`

No payload, key or password stands in a message.
"""

from __future__ import annotations


class BridgeError(Exception):
    """Base of all of the above; `str()` is one line fit for a terminal and a log."""


class ConfigurationError(BridgeError):
    """`key` as the user writes it, `where` it was read (file, variable, flag), `mend`: what to do."""

    def __init__(self, key: str, problem: str, *, where: str = "", mend: str = "") -> None:
        place = f" ({where})" if where else ""
        advice = f": {mend}" if mend else ""
        super().__init__(f"{key}{place} {problem}{advice}")
        self.key = key
        self.problem = problem
        self.where = where
        self.mend = mend


class UsageError(BridgeError):
    """The command line cannot be understood."""


class ServiceUnavailable(BridgeError):
    """A database or Redis server cannot be reached or lost the connection; the same call may work later."""


class Released(ServiceUnavailable):
    """The job's own middleware put it back into the queue."""


class JobError(BridgeError):
    """This job cannot be broadcast; trying again without a change of code or data gives the same."""


class Refused(JobError):
    """The rung (or every allowed rung) cannot know; `file` and `line` point at the PHP that it met."""

    def __init__(self, reason: str, *, file: str = "", line: int = 0) -> None:
        place = f" ({file}:{line})" if file and line else f" ({file})" if file else ""
        super().__init__(f"{reason}{place}")
        self.reason = reason
        self.file = file
        self.line = line


class WouldFail(JobError):
    """Laravel's own worker would throw here."""


class Unreadable(WouldFail):
    """The payload JSON, the envelope or the serialized command is not well-formed."""


class MissingModel(WouldFail):
    """A model of the event is no longer in the database; some releases drop the job then."""


class ProtocolError(BridgeError):
    """A Pusher client broke a rule. `code` goes into `pusher:error`; `close` ends the connection with it."""

    def __init__(self, code: int, message: str, *, close: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.close = close
