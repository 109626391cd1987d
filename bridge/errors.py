"""Every error bridge raises on purpose. Each names the thing and the remedy in one sentence.

    BridgeError
    ├── ConfigurationError       a setting is wrong or missing: stops the start, exit 78
    ├── UsageError               the command line is wrong: exit 2
    ├── ServiceUnavailable       a database or Redis does not answer: try again later, exit 69 at the start
    │   ├── Released             the app itself put the job back: it may go otherwise at the next try
    │   └── NotTried             what passes by itself kept the job from being tried: that costs it no attempt
    ├── JobError                 this job cannot be broadcast (never retried by itself: see `jobs.worker`)
    │   ├── Refused              the allowed rungs cannot know what Laravel would do
    │   │   └── SourceChanging   because a source file is amid a change: in a moment they may
    │   └── WouldFail            Laravel itself would throw: bad channel, exception in a method, …
    │       ├── Judged           the app threw, and its own Laravel has dealt with it: tried again, or failed
    │       ├── CheckFailed      a check of Laravel's own broadcasting, or of its Pusher client, fails
    │       ├── Unreadable       the payload or its serialized command is not well-formed
    │       └── MissingModel     a model of the event is no longer in the database
    └── ProtocolError            a Pusher client broke a rule: carries the code for `pusher:error`

No payload, key or password stands in a message.
"""

from __future__ import annotations

import errno
from typing import Self


class BridgeError(Exception):
    """Base of all of the above; `str()` is one line fit for a terminal and a log."""


class ConfigurationError(BridgeError):
    """`key` as the user writes it, `where` it was read (file, variable, flag), `remedy`: what to do."""

    def __init__(self, key: str, problem: str, *, where: str = "", remedy: str = "") -> None:
        place = f" ({where})" if where else ""
        advice = f": {remedy}" if remedy else ""
        super().__init__(f"{key}{place} {problem}{advice}")
        self.key = key
        self.problem = problem
        self.where = where
        self.remedy = remedy


class UsageError(BridgeError):
    """The command line cannot be understood."""


class ServiceUnavailable(BridgeError):
    """A database or Redis server cannot be reached or lost the connection; the same call may work later."""


class Released(ServiceUnavailable):
    """The job's own middleware put it back into the queue."""


class NotTried(ServiceUnavailable):
    """No descriptor is free, a source file is away for a moment, …: the job waits, whatever its tries say.

    `pause`: seconds until it is worth another try."""

    def __init__(self, message: str, pause: float = 1.0) -> None:
        super().__init__(message)
        self.pause = pause

    @classmethod
    def because_of(cls, error: OSError) -> NotTried:
        """`error` with its number and its file, which the message must name."""
        number = errno.errorcode.get(error.errno or 0, "no errno")
        file = f": {error.filename}" if isinstance(error.filename, str) else ""
        return cls(f"{error.strerror or type(error).__name__} ({number}){file}")


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

    def anew(self) -> Self:
        """The same, to be raised in place of one that is kept: each `raise` adds frames to the traceback of
        what it raises, and with them all that their variables hold."""
        return type(self)(self.reason, file=self.file, line=self.line)


class SourceChanging(Refused):
    """A source file is away, or half written."""


class WouldFail(JobError):
    """Laravel's own worker would throw here."""


class CheckFailed(WouldFail):
    """Name, channels or socket of a broadcast are not what Laravel or its Pusher client takes."""


class Judged(WouldFail):
    """The app threw, and its own Laravel has dealt with that: the job is tried again in `delay` seconds, or
    (None) it has failed, with its `failed()` called, its listeners told and its unique lock released."""

    def __init__(self, message: str, delay: int | None) -> None:
        super().__init__(message)
        self.delay = delay


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
