"""Which post belongs to which job, and what stays alone."""

from __future__ import annotations

from bridge.serve.shadow.matcher import (
    EXPIRY,
    GRACE,
    WINDOW,
    Event,
    Matcher,
    Pair,
    Posted,
    Resolved,
    differing,
)


def event(data: str = '{"n":1}', *, name: str = "Said", channel: str = "lines") -> Event:
    return Event(app_id="1", channels=(channel,), name=name, data=data, socket=None)


def resolved(uuid: str, what: Event | None, *, at: float = 0.0, outcome: str = "broadcast") -> Resolved:
    return Resolved(
        uuid=uuid,
        event_class="Said",
        outcome=outcome,
        why="",
        by="native",
        call=0,
        event=what,
        at=at,
        document={},
    )


def posted(what: Event, *, at: float = 0.0) -> Posted:
    return Posted(event=what, at=at)


def test_equal_ones_are_a_pair_in_either_order() -> None:
    for first in ("job", "post"):
        ledger, job, post = Matcher(), resolved("a", event()), posted(event())
        if first == "post":
            ledger.post(post)
        ledger.expect("a", [job])
        if first == "job":
            ledger.post(post)
        assert ledger.findings(0.0, ()) == [Pair(resolved=job, posted=post, equal=True)]
        assert ledger.waiting == 0
        assert ledger.findings(2 * EXPIRY, ()) == []


def test_an_equal_partner_that_comes_late_is_not_taken_by_another_post() -> None:
    ledger = Matcher()
    ledger.expect("a", [resolved("a", event("1"))])
    ledger.post(posted(event("2")))
    assert ledger.findings(GRACE / 2, ()) == []
    ledger.expect("b", [resolved("b", event("2"))])
    [pair] = ledger.findings(GRACE / 2, ())
    assert isinstance(pair, Pair)
    assert (pair.resolved.uuid, pair.equal) == ("b", True)
    assert ledger.waiting == 1


def test_without_an_equal_one_the_likest_of_the_same_channels_and_name_is_the_partner() -> None:
    ledger = Matcher()
    for uuid, data in (("a", '{"n":1,"x":0}'), ("b", '{"n":2,"x":0}'), ("c", '{"n":3,"x":0}')):
        ledger.expect(uuid, [resolved(uuid, event(data))])
    ledger.post(posted(event('{"n":2,"x":9}')))
    [pair] = ledger.findings(GRACE + 1, ())
    assert isinstance(pair, Pair)
    assert (pair.resolved.uuid, pair.equal) == ("b", False)


def test_other_channels_are_a_difference_once_the_window_is_over() -> None:
    ledger = Matcher()
    ledger.expect("a", [resolved("a", event(channel="other"))])
    ledger.post(posted(event()))
    assert ledger.findings(WINDOW - 1, ()) == []
    [pair] = ledger.findings(WINDOW + 1, ())
    assert isinstance(pair, Pair)
    assert list(differing(event(channel="other"), pair.posted.event)) == ["channels"]


def test_what_stays_alone_is_told_after_the_window() -> None:
    ledger = Matcher()
    ledger.expect("a", [job := resolved("a", event())])
    ledger.post(post := posted(event(name="Other")))
    assert ledger.findings(WINDOW - 1, ()) == []
    assert ledger.findings(EXPIRY + 1, ()) == [post, job]


def test_a_job_that_still_lies_in_the_queue_is_waited_for() -> None:
    ledger = Matcher()
    ledger.expect("a", [resolved("a", event())])
    assert ledger.findings(10 * WINDOW, {"a"}) == []
    ledger.post(posted(event(), at=10 * WINDOW))
    assert len(ledger.findings(10 * WINDOW, ())) == 1


def test_a_job_that_comes_again_counts_once() -> None:
    ledger = Matcher()
    ledger.expect("a", [resolved("a", event())])
    ledger.expect("a", [resolved("a", event(), at=5.0)])
    assert ledger.waiting == 1


def test_a_post_of_a_class_that_was_refused_is_that_job_s() -> None:
    ledger = Matcher()
    ledger.expect("a", [job := resolved("a", None, outcome="refused")])
    ledger.post(post := posted(event()))
    assert ledger.findings(GRACE + 1, ()) == [Pair(resolved=job, posted=post, equal=False)]


def test_at_the_end_every_post_is_told_and_jobs_go_on_waiting() -> None:
    ledger = Matcher()
    ledger.expect("a", [resolved("a", event("1"))])
    ledger.expect("b", [resolved("b", event(name="Other"))])
    ledger.post(posted(event("2")))
    ledger.post(alone := posted(event(name="Third")))
    pair, last = ledger.findings(0.0, {"a", "b"}, last=True)
    assert isinstance(pair, Pair)
    assert last == alone
    assert ledger.waiting == 1
