"""Checks of the app's events: each has a rung, and each mapping has an event."""

from __future__ import annotations

import difflib

from bridge.doctor.subject import ExaminedApp, Finding, Found


def setup(subject: ExaminedApp) -> Found:
    """Checks that nothing the app does when it boots keeps its events from being evaluated natively."""
    survey = subject.survey
    resolved = [one for one in survey.findings if one.rung not in ("http", "mapping")] if survey else ()
    if survey is None or not resolved:
        return
    report = survey.report
    for what, reasons in (("every event", report.everything), ("every event with models", report.models)):
        for reason in reasons:
            left = any(one.rung == "php" for one in resolved)
            yield Finding(
                what=f"{what} is {'left to PHP' if left else 'refused'}: {reason}",
                where=reason.file,
                remedy="leave it to PHP, which is right and takes longer" if left else "let bridge use PHP",
                hint=True,
            )


def rungs(subject: ExaminedApp) -> Found:
    """Checks that every class that broadcasts through the queue is served by some rung."""
    for one in subject.events or ():
        if one.rung == "refused":
            yield Finding(
                what=f"{one.class_name} is refused: {one.why}",
                where=f"{one.file}:{one.line}",
                remedy=f'map it in bridge.toml, [events."{_escaped(one.class_name)}"], or let bridge use PHP',
            )


def mappings(subject: ExaminedApp) -> Found:
    """Checks that every mapping of bridge.toml names a class that exists."""
    if subject.events is None:
        return
    names = [one.class_name for one in subject.events]
    for name in subject.settings.events:
        file = subject.path / "app" / (name.removeprefix("App\\").replace("\\", "/") + ".php")
        if name in names or file.is_file():
            continue
        [near] = difflib.get_close_matches(name, names, 1) or [""]
        yield Finding(
            what=f"bridge.toml maps {name}, and the app has no such event",
            where=f'events."{name}"',
            remedy=f"did you mean {near}?" if near else "correct its name, or take it out",
            hint=not near,
        )


def _escaped(class_name: str) -> str:
    return class_name.replace("\\", "\\\\")
