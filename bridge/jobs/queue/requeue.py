"""A failed job goes back into its queue, as `queue:retry` puts it there.

Source: Queue/Console/RetryCommand.php of 8.83 to 13.26, alike in all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.errors import Refused
from bridge.jobs.queue.failed_jobs import FailedJobs, KeptJob
from bridge.jobs.queue.push import Push
from bridge.phpeval.php.runtime.values import PhpArray, Value
from bridge.phpeval.php.serialization.json_decode import decode_json
from bridge.phpeval.php.serialization.json_encode import json_encode

# `data.command` → the fields of the payload that are worked out anew; Refused where only PHP can.
RecomputeFields = Callable[[bytes], dict[bytes, Value]]


def retried(payload: bytes, refresh: RecomputeFields) -> bytes:
    """The payload as it goes back: attempts at nought, read and written twice by PHP's rules, as there.

    Refused where it is no JSON, WouldFail where PHP cannot write it: Laravel would lose the job here.
    """
    document = _document(payload)
    if document.get(b"attempts") is not None:
        document[b"attempts"] = 0
    document = _document(json_encode(document).encode())
    data = document.get(b"data")
    command = data.get(b"command") if isinstance(data, PhpArray) else None
    if isinstance(command, bytes):
        for name, value in refresh(command).items():
            document[name] = value
    return json_encode(document).encode()


def _document(payload: bytes) -> PhpArray:
    document = decode_json(payload, objects=False)
    if not isinstance(document, PhpArray):
        raise Refused("the payload is not JSON")
    return document


def retry(job: KeptJob, failed: FailedJobs, queue: Push, refresh: RecomputeFields) -> None:
    """Moves the job from the failed ones to its queue; after a crash between, it is in both."""
    queue.push(job.queue, retried(job.payload, refresh))
    failed.forget_retried(job)  # a worker may have it already, and may have failed
