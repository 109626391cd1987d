"""What became of every job of a run, as each side saw it, and the checker that finds what may not be.

The test says what it pushed; bridge, run by `tests.chaos.entry`, what it reserved, sent, deleted and failed;
each socket what it received; the store what is left. All times are of the monotonic clock, which all
processes of a machine share. A job is known by a word that its event carries, its tag.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

# `deleting`, `released` and `given_back` are told just before, all others just after: a bridge that is killed
# in between may or may not have done it.
Deed = Literal["reserved", "sent", "deleting", "deleted", "failed", "released", "given_back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A job that stands in the queue since `at` at the latest, and what its event must look like.

    fails  it must end in failed_jobs
    """

    job: str
    at: float
    channel: str
    name: str
    data: str
    fails: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a bridge has done with a job.

    bridge    the name of that process, and no other's
    attempts  reservations so far as the store counts them, for `reserved`: one that was killed before it
              could tell of its reservation shows in those of the next
    since     for `reserved`: when it was asked for, which is when it counts from at the earliest; who was
              stopped in the middle of it tells of it late
    """

    job: str
    at: float
    bridge: str
    deed: Deed
    attempts: int = 1
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event as it came over a socket."""

    job: str
    at: float
    channel: str
    name: str
    data: str


@dataclass(slots=True, kw_only=True)
class Socket:
    """One connection of a client.

    subscribed  channel → when the client knew of it
    caught_up   when the last ping was sent that the server has answered: what was sent before is here
    closed      None while it is open
    """

    bridge: str
    subscribed: dict[str, float] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    caught_up: float | None = None
    closed: float | None = None


@dataclass(slots=True, kw_only=True)
class History:
    """All of a run.

    left, failed  the jobs in the queue and in failed_jobs at its end, in no order
    beside        somebody else works on the queue too, of whose deeds nothing is known
    ordered       one bridge does all the work, so that only what was reserved again may be late
    attended      clients were there all the time: every event has somebody to see it
    """

    retry_after: float
    beside: bool = False
    ordered: bool = True
    attended: bool = True
    pushed: list[Pushed] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    sockets: list[Socket] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that may not be: `kind` is a key of KINDS."""

    kind: str
    job: str
    about: str = ""


KINDS = {
    "lost": "neither deleted after it was sent, nor in failed_jobs, nor in the queue",
    "left": "still in the queue at the end",
    "in two places": "deleted or failed, and still in the queue; or twice in one of them",
    "deleted unsent": "deleted, and nobody had sent it before",
    "deleted twice": "two reservations of it were deleted",
    "reserved twice": "reserved while somebody else's reservation of it had not ended",
    "wrongly failed": "in failed_jobs, but good",
    "not failed": "must fail, but did not",
    "failed though sent": "in failed_jobs, and on a socket",
    "twice": "twice on one socket",
    "hole": "not on a socket that was subscribed before it was reserved, and was there when it was sent",
    "unseen": "deleted, and on no socket though a client was there for it",
    "out of order": "after a later one of its channel on a socket, and was reserved only once",
    "phantom": "on a socket, but never pushed",
    "too early": "on a socket before it was pushed or the socket was subscribed, or after it had closed",
    "altered": "on a socket with another channel, name or text than Laravel's",
    "pushed twice": "the test itself is wrong",
}

SLACK = 1.0  # seconds: stores count in whole ones


def faults(history: History) -> list[Fault]:
    """Everything in the history that may not be."""
    return [*_of_jobs(history), *_of_sockets(history)]


def unattended(history: History) -> set[str]:
    """Jobs that were deleted and that no client has seen, whether one was there for them or not."""
    seen = {it.job for socket in history.sockets for it in socket.messages}
    good = {it.job for it in history.pushed if not it.fails}
    gone = {it.job for it in history.done if it.deed == "deleting"}
    return (gone & good) - seen - {*history.left, *history.failed}


def told(found: Iterable[Fault]) -> str:
    """For people: every kind with its number and first examples."""
    by_kind: dict[str, list[Fault]] = defaultdict(list)
    for fault in found:
        by_kind[fault.kind].append(fault)
    lines = []
    for kind, those in by_kind.items():
        first = ", ".join(f"{it.job} {it.about}".strip() for it in those[:5])
        lines.append(f"{len(those)} {kind} ({KINDS[kind]}): {first}")
    return "\n".join(lines)


def _of_jobs(history: History) -> Iterator[Fault]:
    deeds: dict[str, list[Done]] = defaultdict(list)
    for it in sorted(history.done, key=lambda it: it.at):
        deeds[it.job].append(it)
    left, failed = Counter(history.left), Counter(history.failed)
    received = {it.job for socket in history.sockets for it in socket.messages}
    for job, times in Counter(it.job for it in history.pushed).items():
        if times > 1:
            yield Fault("pushed twice", job)
    for pushed in history.pushed:
        job = pushed.job
        did = Counter(it.deed for it in deeds[job])
        ends = [it for it in deeds[job] if it.deed == "deleted"]
        gone = ends or (did["sent"] and did["deleting"]) or (history.beside and job in received)
        if not gone and not failed[job] and not left[job]:
            yield Fault("lost", job)
        if left[job]:
            yield Fault("left", job)
        if left[job] > 1 or failed[job] > 1 or (left[job] and (ends or failed[job])):
            yield Fault("in two places", job)
        sent = [it.at for it in deeds[job] if it.deed == "sent"]
        if ends and not failed[job] and not (sent and sent[0] <= ends[0].at):
            yield Fault("deleted unsent", job)
        if did["deleted"] > 1:
            yield Fault("deleted twice", job)
        if failed[job] and not pushed.fails:
            yield Fault("wrongly failed", job)
        if pushed.fails and not failed[job]:
            yield Fault("not failed", job)
        if failed[job] and (job in received or sent):
            yield Fault("failed though sent", job)
        yield from _stolen(job, deeds[job], history.retry_after)


def _stolen(job: str, deeds: Iterable[Done], retry_after: float) -> Iterator[Fault]:
    held: Done | None = None
    for it in deeds:
        if it.deed == "reserved":
            if held is not None and it.attempts < held.attempts:
                continue  # an older one, which has ended, told late
            counts = it.at if held is None else it.at - (held.at if held.since is None else held.since)
            if held is not None and counts < retry_after - SLACK:
                yield Fault("reserved twice", job, f"after {counts:.2f} s")
            held = it
        elif it.deed in ("deleting", "released", "given_back"):
            held = None


def _of_sockets(history: History) -> Iterator[Fault]:
    pushed = {it.job: it for it in history.pushed}
    place = {it.job: number for number, it in enumerate(history.pushed)}
    reserved: dict[str, list[float]] = defaultdict(list)
    again: set[str] = set()
    sent: dict[tuple[str, str], float] = {}
    kept = {*history.left, *history.failed}
    gone = {it.job for it in history.done if it.deed == "deleting" and it.job in pushed} - kept
    for it in sorted(history.done, key=lambda it: it.at):
        if it.deed == "reserved":
            reserved[it.job].append(it.at)
            if it.attempts > 1 or len(reserved[it.job]) > 1:
                again.add(it.job)
        elif it.deed == "sent":
            sent.setdefault((it.bridge, it.job), it.at)
    seen: set[str] = set()
    could: set[str] = set()  # jobs that a socket was there for
    for socket in history.sockets:
        got: set[str] = set()
        last: dict[str, int] = {}
        for message in socket.messages:
            job, known = message.job, pushed.get(message.job)
            if known is None:
                yield Fault("phantom", job)
                continue
            if job in got:
                yield Fault("twice", job)
            got.add(job)
            if (message.channel, message.name, message.data) != (known.channel, known.name, known.data):
                yield Fault("altered", job, message.channel)
            since = socket.subscribed.get(message.channel)
            over = socket.closed is not None and message.at > socket.closed
            if message.at < known.at or since is None or message.at < since or over:
                yield Fault("too early", job)
            late = place[job] < last.get(message.channel, -1)
            if late and history.ordered and job not in again:
                yield Fault("out of order", job)
            last[message.channel] = max(place[job], last.get(message.channel, -1))
        seen |= got
        # What it must have: all that its bridge sent to the last of what it has, or until it had caught up.
        until = max((sent.get((socket.bridge, job), -1.0) for job in got), default=-1.0)
        if socket.caught_up is not None:
            until = max(until, socket.caught_up)
        for (bridge, job), at in sent.items():
            if bridge != socket.bridge or job not in pushed:
                continue
            since = socket.subscribed.get(pushed[job].channel)
            if since is None or not reserved[job] or since > reserved[job][0]:
                continue
            if socket.closed is None or at < socket.closed:
                could.add(job)
            if at < until and job not in got and not _was_sent_before(job, bridge, at, sent):
                yield Fault("hole", job)
    for job in sorted((gone if history.attended else could & gone) - seen):
        yield Fault("unseen", job)


def _was_sent_before(job: str, bridge: str, at: float, sent: dict[tuple[str, str], float]) -> bool:
    """Whether another bridge had sent it: then it is known, and not sent again."""
    return any(other != bridge and it == job and when < at for (other, it), when in sent.items())
