"""An app with classes of a test's own, asked twice: natively, and of real Laravel 8 through the PHP rung.

`App` holds one SQLite file and one PHP process; `Case` is a namespace in it, so that tests do not meet.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.laravel.application import load
from bridge.laravel.payload import BROADCAST_EVENT, HANDLER, read_payload
from bridge.phpeval.laravel.version import parse_version
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from bridge.serve.wiring.ladder import build_ladder
from tests.jobs.resolve import recorded_app
from tests.phpeval.php.oracle import serialize
from tests.versions import laravel_version

IDENTIFIER = "Illuminate\\Contracts\\Database\\ModelIdentifier"
QUIET_PROVIDER = """
    namespace App\\Providers;
    class TestServiceProvider extends \\Illuminate\\Support\\ServiceProvider { }
"""
USES = (
    "use Illuminate\\Broadcasting\\{Channel, InteractsWithSockets, PrivateChannel}; "
    "use Illuminate\\Contracts\\Broadcasting\\ShouldBroadcast; use Illuminate\\Database\\Eloquent\\Model; "
    "use Illuminate\\Database\\Eloquent\\SoftDeletes; use Illuminate\\Database\\Eloquent\\Casts\\Attribute; "
    "use Illuminate\\Queue\\SerializesModels; use Illuminate\\Support\\Str;\n"
)
_NUMBERS = itertools.count(1)


class App:
    """`provider` replaces the app's only one; `env` are more lines of its .env."""

    def __init__(self, folder: Path, provider: str = QUIET_PROVIDER, **env: str) -> None:
        self.path = recorded_app.create(folder, **env)
        (self.path / "app/Providers/TestServiceProvider.php").write_text(f"<?php {provider}\n")
        self._php: PhpRung | None = None
        self.questions = 0  # that PHP was asked

    def sql(self, script: str) -> None:
        with closing(sqlite3.connect(self.path / "app.sqlite")) as database:
            database.executescript(script)

    def native(self, payload: bytes, *, version: str = "", only: Sequence[str] = ("native",)) -> Resolution:
        """What bridge says by itself, with everything read anew; at the third time, by a shortcut if any.
        `version`: the app's Laravel, else the installed one."""
        version = version or laravel_version()
        ladder = build_ladder(load(self.path, {}, version), {}, version=parse_version(version), only=only)
        with closing(ladder):
            for _ in range(2):
                ladder.resolve(read_payload(payload))
            return ladder.resolve(read_payload(payload))

    def laravel(self, payload: bytes) -> Resolution:
        """What real Laravel says."""
        self.questions += 1
        self._php = self._php or PhpRung(self.path)
        ladder = build_ladder(load(self.path, {}, laravel_version()), {}, only=("php",), php=self._php)
        with closing(ladder):
            return ladder.resolve(read_payload(payload))

    def serve_cases(self) -> None:
        """The app is for the classes of tests, one after the other.

        Of the recorded app's own only those stay that boot it: to read all of them for each test takes as
        long as the rest. PHP stays booted from test to test: it starts anew when a file in the app's folder
        changes, and from now on the classes lie beside that; `Case.add` says when one has changed.
        """
        beside = self.path.with_name(f"{self.path.name}-classes")
        (self.path / "app").rename(beside)
        (self.path / "app").symlink_to(beside)
        for folder in beside.iterdir():
            if folder.name not in ("Console", "Providers"):
                shutil.rmtree(folder)

    def boot_anew(self) -> None:
        """PHP is to forget the classes that it knows."""
        if self._php is not None:
            self._php.recycle()

    def close(self) -> None:
        if self._php is not None:
            self._php.close()


@contextmanager
def app(folder: Path, provider: str = QUIET_PROVIDER, **env: str) -> Iterator[App]:
    made = App(folder, provider, **env)
    with closing(made):
        yield made


def set_up_by_file(made: App, *options: str, provider: str = "") -> None:
    """Its providers, and one of Laravel's more, stand in config/app.php, as in an app, and not in what boots
    it; with `options`."""
    boot, config = made.path / "bootstrap/app.php", made.path / "config/app.php"
    text = boot.read_text()
    start, end = text.index("$app->afterBootstrapping"), text.index("return $app")
    providers = text[text.index("[\n", start) : text.index("    ]);", start)]
    boot.write_text(text[:start] + text[end:])
    more = [f"'providers' => {providers}{provider}]", *options, "'url' =>"]
    config.write_text(config.read_text().replace("'url' =>", ",\n    ".join(more)))


class Case:
    """A namespace of its own in the app: `add` writes classes, `post` is a model to begin with."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.space = f"App\\Case{next(_NUMBERS)}"
        self._questions_before = app.questions

    def name(self, short: str) -> str:
        return f"{self.space}\\{short}"

    @property
    def folder(self) -> Path:
        return self.app.path / self.space.replace("App\\", "app/")

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, short: str, source: str) -> None:
        """`source` declares the class `short`; the usual names are imported."""
        self.folder.mkdir(exist_ok=True)
        file = self.folder / f"{short}.php"
        if file.exists() and self.app.questions > self._questions_before:
            self.app.boot_anew()
        file.write_text(f"<?php\nnamespace {self.space};\n{USES}{source}\n")

    def post(self, body: str = "", *, head: str = "", columns: str = "", **values: object) -> None:
        """The model Post with `body`, on a new table `posts` with one row: id 1, title, secret, user_id.

        `columns` are more, `name type`, with `values`; `head` stands before the class."""
        self.add("Post", f"{head} class Post extends Model {{ {body} }}")
        held = {"id": 1, "title": "Title", "secret": "s3cret", "user_id": 7, **values}
        more = f", {columns}" if columns else ""
        names, places = ", ".join(held), ", ".join(f":{name}" for name in held)
        with closing(sqlite3.connect(self.app.path / "app.sqlite")) as database, database:
            database.execute("drop table if exists posts")
            database.execute(
                "create table posts (id integer primary key, title varchar, secret varchar, user_id integer,"
                f" created_at datetime, updated_at datetime{more})"
            )
            database.execute(f"insert into posts ({names}) values ({places})", held)

    def event(
        self, body: str, *, traits: str = "InteractsWithSockets, SerializesModels", head: str = ""
    ) -> None:
        """The event Sent with `body`; its channel is `c` unless the body says so."""
        channel = (
            "" if "broadcastOn" in body else "public function broadcastOn() { return new Channel('c'); }"
        )
        use = f"use {traits};" if traits else ""
        self.add("Sent", f"{head} class Sent implements ShouldBroadcast {{ {use} {body} {channel} }}")

    def sends(self, expression: str) -> None:
        """The event Sent has a public $post and sends the expression as `it`."""
        self.event(f"public $post; public function broadcastWith() {{ return ['it' => {expression}]; }}")

    def model(
        self,
        short: str = "Post",
        key: Value = 1,
        *,
        relations: Sequence[str] = (),
        connection: str = "sqlite",
    ) -> PhpObject:
        """The identifier that stands for a model in a payload."""
        return PhpObject(
            IDENTIFIER,
            {
                b"class": self.name(short).encode(),
                b"id": key,
                b"relations": PhpArray.of([relation.encode() for relation in relations]),
                b"connection": connection.encode(),
            },
        )

    def payload(self, **properties: Value) -> bytes:
        """A queue entry of the event Sent; without properties, `post` is the model Post 1."""
        held = properties or {"post": self.model()}
        return job(PhpObject(self.name("Sent"), {key.encode(): value for key, value in held.items()}))

    def native(self, *, version: str = "", **properties: Value) -> Resolution:
        return self.app.native(self.payload(**properties), version=version)

    def both(self, **properties: Value) -> Resolution:
        """What both say; AssertionError where they differ or bridge refuses, but for an event that throws."""
        payload = self.payload(**properties)
        ours, theirs = self.app.native(payload), self.app.laravel(payload)
        if theirs.outcome == "failed" and "Laravel would throw" in ours.why:  # PHP's to judge
            return theirs
        assert (ours.outcome, ours.broadcasts) == (theirs.outcome, theirs.broadcasts), (ours, theirs)
        return ours

    def data(self, **properties: Value) -> object:
        """The data that both send."""
        (call,) = self.both(**properties).broadcasts
        return json.loads(call.data)

    def refused(self, *, version: str = "", **properties: Value) -> str:
        """Why bridge refuses; AssertionError where it does not."""
        resolution = self.native(version=version, **properties)
        assert resolution.outcome == "refused", resolution
        return resolution.why


def job(event: PhpObject, *, command: Mapping[str, Value] | None = None, **document: object) -> bytes:
    """The queue entry of an event, as Laravel 8 writes it; `command` and `document` add to it."""
    held: dict[int | bytes, Value] = {b"event": event}
    for name in ("tries", "timeout", "connection", "queue", "chainConnection", "chainQueue"):
        held[name.encode()] = None
    held |= {b"chainCatchCallbacks": None, b"delay": None, b"afterCommit": None}
    held |= {b"middleware": PhpArray(), b"chained": PhpArray()}
    held |= {name.encode(): value for name, value in (command or {}).items()}
    whole = {
        "uuid": "00000000-0000-4000-8000-000000000001",
        "displayName": event.class_name,
        "job": HANDLER,
        "maxTries": None,
        "maxExceptions": None,
        "failOnTimeout": False,
        "backoff": None,
        "timeout": None,
        "retryUntil": None,
        "data": {
            "commandName": BROADCAST_EVENT,
            "command": serialize(PhpObject(BROADCAST_EVENT, held)).decode("utf-8", "surrogatepass"),
        },
    }
    return json.dumps(whole | document).encode()
