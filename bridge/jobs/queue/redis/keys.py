"""The keys of a queue in Redis."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from bridge.jobs.queue.queue import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys of one queue, in full."""

    list: bytes
    delayed: bytes
    reserved: bytes
    notify: bytes

    @classmethod
    def of(cls, prefix: str, queue: str, *, tagged: bool = False) -> Keys:
        """`tagged`: a queue whose name has no hash tag is given one, so that its keys share a slot."""
        name = f"{{{queue}}}" if tagged and not has_hash_tag(queue) else queue
        key = f"{prefix}queues:{name}".encode()
        return cls(list=key, delayed=key + b":delayed", reserved=key + b":reserved", notify=key + b":notify")

    def sent(self, job: Job) -> bytes:
        """Where it stands that the job's broadcasts went out, although it may come again."""
        return self.list + b":bridge_sent:" + hashlib.sha256(job.uuid.encode()).hexdigest()[:32].encode()


def has_hash_tag(key: str) -> bool:
    """Whether all keys that begin with this one lie in one slot of a cluster."""
    _, opened, rest = key.partition("{")
    return bool(opened) and rest.find("}") > 0
