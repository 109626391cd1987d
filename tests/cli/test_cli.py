"""The command line as a user meets it: exit codes, one line for each error, no secret in any of it."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy

from bridge.cli import main
from bridge.cli.failed import job_name
from bridge.demo.app import write_app
from bridge.phpeval.php.runtime.values import PhpObject
from tests import services
from tests.end_to_end.processes import environment, running, wait_until
from tests.phpeval.laravel.eloquent.app import job

CANARIES = tuple(f"canary{name}" for name in ("key", "secret", "password", "redis", "toml", "previous"))
ENV = f"""
APP_KEY=base64:{base64.b64encode(b"canarykey".ljust(32, b"!")).decode()}
PUSHER_APP_ID=1
PUSHER_APP_KEY=public
PUSHER_APP_SECRET=canarysecret
DB_PASSWORD=canarypassword
REDIS_PASSWORD=canaryredis
REDIS_CLIENT=predis
BROADCAST_DRIVER=pusher
APP_DEBUG=true
"""
TOML = """
[[apps]]
id = "2"
key = "other"
secret = "canarytoml"
previous_secrets = ["canaryprevious"]
"""


class Command:
    """`bridge …` on an app of a `.env` and a bridge.toml, both with secrets; all output is kept."""

    def __init__(self, folder: Path) -> None:
        self.app = folder / "app"
        self.app.mkdir()
        self.written = ""
        self.env()

    def env(
        self, more: str = "QUEUE_CONNECTION=database\nDB_CONNECTION=sqlite\nDB_DATABASE=queue.sqlite\n"
    ) -> None:
        (self.app / ".env").write_text(ENV + more)
        (self.app / "bridge.toml").write_text(TOML)

    def run(
        self, *arguments: str, input: str | bytes = "", **environ: str
    ) -> subprocess.CompletedProcess[bytes]:
        if arguments and arguments[0] in ("resolve", "events"):
            done = self._here(arguments, input.encode() if isinstance(input, str) else input, environ)
        else:
            done = self._there(arguments, environ)
        self.written += (done.stdout + done.stderr).decode("utf-8", "replace")
        return done

    def _here(
        self, arguments: tuple[str, ...], input: bytes, environ: dict[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        """In this process, which is faster."""
        with pytest.MonkeyPatch.context() as patch:
            streams = [io.TextIOWrapper(io.BytesIO(content), "utf-8") for content in (input, b"", b"")]
            for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, name, stream)
            patch.chdir(self.app)
            for name, value in environ.items():
                patch.setenv(name, value)
            try:
                code = main(arguments)
            except SystemExit as end:
                code = int(end.code or 0)
            written = []
            for stream in streams[1:]:
                stream.flush()
                written.append(stream.buffer.getvalue())
        return subprocess.CompletedProcess(arguments, code, *written)

    def _there(
        self, arguments: tuple[str, ...], environ: dict[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "bridge", *arguments],
            capture_output=True,
            cwd=self.app,
            env=environment(**environ),
            timeout=120,
        )

    def problem(self, code: int, *arguments: str, **environ: str) -> str:
        """The one line of an error with this exit code."""
        done = self.run(*arguments, **environ)
        lines = done.stderr.decode().splitlines()
        assert (done.returncode, len(lines), done.stdout) == (code, 1, b""), done
        assert lines[0].startswith("bridge: ")
        return lines[0]


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path)
    yield command
    for canary in CANARIES:
        assert canary not in command.written
        assert base64.b64encode(canary.encode()).decode().rstrip("=") not in command.written


def serve(command: Command) -> tuple[str, ...]:
    return ("serve", "--app", str(command.app), "--host", "127.0.0.1", "--port", str(services.free_port()))


# ---- wrong usage and configuration -----------------------------------------------------------


@pytest.mark.parametrize("arguments", [["nonsense"], [], ["serve", "--nonsense"], ["resolve", "a", "b"]])
def test_a_wrong_command_line_exits_with_2(bridge: Command, arguments: list[str]) -> None:
    done = bridge.run(*arguments)
    assert done.returncode == 2
    assert b"usage: bridge" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["serve", "resolve", "events"])
def test_an_app_that_is_not_there_is_named(bridge: Command, command: str) -> None:
    assert "/nowhere/app" in bridge.problem(78, command, "--app", "/nowhere/app")


@pytest.mark.parametrize("command", ["resolve", "events"])
@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("port = ", "is not TOML"),
        ("prot = 1", "did you mean port?"),
        ("port = 'canarytoml x'", "port"),
        ("[[apps]]\nid = '2'\nsecret = 'canarytoml'", "apps[0].key"),
        ("[events.\"App\\\\X\"]\nas = 'x'", "channels"),
    ],
)
def test_what_is_wrong_in_bridge_toml_is_named(bridge: Command, command: str, toml: str, named: str) -> None:
    (bridge.app / "bridge.toml").write_text(toml)
    assert named in bridge.problem(78, command, "--app", str(bridge.app))


def test_a_variable_that_is_no_setting_is_named_with_the_nearest(bridge: Command) -> None:
    line = bridge.problem(78, *serve(bridge), BRIDGE_QUEU="high")
    assert "BRIDGE_QUEU" in line
    assert "did you mean BRIDGE_QUEUE?" in line


def test_a_configuration_file_that_is_not_there_is_named(bridge: Command) -> None:
    assert "no.toml" in bridge.problem(78, "resolve", "--app", str(bridge.app), "--config", "no.toml")


def test_an_app_without_a_pusher_connection_is_told_what_to_set(bridge: Command) -> None:
    (bridge.app / ".env").write_text(
        "QUEUE_CONNECTION=database\nDB_CONNECTION=sqlite\nDB_DATABASE=q.sqlite\n"
    )
    (bridge.app / "bridge.toml").write_text("")
    assert "PUSHER_APP_" in bridge.problem(78, *serve(bridge))


def test_a_queue_of_a_driver_that_is_none_of_ours_is_named(bridge: Command) -> None:
    bridge.env("QUEUE_CONNECTION=sqs\n")
    assert "sqs" in bridge.problem(78, *serve(bridge))


def test_a_port_that_is_taken_is_named(bridge: Command) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        line = bridge.problem(69, "serve", "--app", str(bridge.app), "--host", "127.0.0.1", "--port", port)
        assert port in line


def test_a_queue_without_its_table_is_told_how_to_make_it(bridge: Command) -> None:
    (bridge.app / "queue.sqlite").write_bytes(b"")
    assert "jobs" in bridge.problem(78, *serve(bridge))


# ---- services --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "env",
    [
        "QUEUE_CONNECTION=redis\nREDIS_HOST=127.0.0.1\nREDIS_PORT={port}\n",
        "QUEUE_CONNECTION=database\nDB_CONNECTION=mysql\nDB_HOST=127.0.0.1\nDB_PORT={port}\nDB_DATABASE=x\n",
        "QUEUE_CONNECTION=database\nDB_CONNECTION=pgsql\nDB_HOST=127.0.0.1\nDB_PORT={port}\nDB_DATABASE=x\n",
    ],
    ids=["redis", "mysql", "pgsql"],
)
def test_a_store_that_does_not_answer_exits_with_69_in_time(bridge: Command, env: str) -> None:
    bridge.env(env.format(port=services.free_port()))
    bridge.problem(69, *serve(bridge))  # within the two minutes of a command: it waits five seconds


# ---- resolve ---------------------------------------------------------------------------------

MAPPING = (
    TOML
    + """
[events."App\\\\Events\\\\Shipped"]
channels = ["private-orders.{id}"]
with = {id = "{id}"}
"""
)


@pytest.fixture
def mapped(bridge: Command) -> Command:
    (bridge.app / "bridge.toml").write_text(MAPPING)
    return bridge


def row(number: int, **more: object) -> str:
    payload = job(PhpObject("App\\Events\\Shipped", {b"id": number}))
    return json.dumps({"id": f"row {number}", "payload": payload.decode(), **more}) + "\n"


def test_every_row_is_answered_in_order_with_its_id(mapped: Command) -> None:
    encoded = {"id": [1], "payload_base64": base64.b64encode(json.loads(row(5))["payload"].encode()).decode()}
    rows = row(3) + "\n" + row(1) + json.dumps(encoded) + "\n" + row(2, id=None, queue="x", unknown={"a": 1})
    done = mapped.run("resolve", "--app", str(mapped.app), input=rows)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [line["id"] for line in lines] == ["row 3", "row 1", [1], None]
    assert [line["broadcasts"][0]["channels"] for line in lines] == [
        [f"private-orders.{n}"] for n in (3, 1, 5, 2)
    ]
    assert lines[0] == {
        "id": "row 3", "event": "App\\Events\\Shipped", "outcome": "broadcast", "by": "mapping",
        "broadcasts": [{
            "connection": "pusher", "channels": ["private-orders.3"], "name": "App\\Events\\Shipped",
            "data": '{"id":3}', "socket": None,
        }],
    }  # fmt: skip


def test_rows_may_come_from_a_file(mapped: Command, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(row(1) + row(2))
    done = mapped.run("resolve", "--app", str(mapped.app), str(file))
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["row 1", "row 2"]


def test_an_answer_comes_before_the_next_row_is_written(mapped: Command, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bridge", "resolve", "--app", str(mapped.app)]
    log = tmp_path / "log"
    with running(
        command, cwd=tmp_path, log=log, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (1, 2):
            process.stdin.write(row(number))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == f"row {number}"
        process.stdin.close()
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("payload", "outcome"),
    [("no json canarysecret", "failed"), ('{"a": 1}', "failed"), ('{"job": "Other@handle"}', "other")],
)
def test_a_payload_that_is_no_broadcast_is_an_answer_and_no_error(
    mapped: Command, payload: str, outcome: str
) -> None:
    done = mapped.run("resolve", "--app", str(mapped.app), input=json.dumps({"payload": payload}))
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, line["outcome"], line["broadcasts"]) == (0, outcome, [])
    assert line["why"]


def test_an_event_that_no_rung_knows_is_refused_and_exits_with_0(bridge: Command) -> None:
    done = bridge.run("resolve", "--app", str(bridge.app), input=row(1))
    line = json.loads(done.stdout)
    assert (done.returncode, line["outcome"], line["by"]) == (0, "refused", None)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{", "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
        ("[1]", "line 2 has no payload"),
        ('{"id": 1}', "line 2 has no payload"),
        ('{"payload": {}}', "line 2 has no payload"),
        ('{"payload_base64": "?"}', "payload_base64 of line 2"),
    ],
)
def test_a_line_that_is_no_row_is_named_after_the_answers_before_it(
    mapped: Command, line: str, named: str
) -> None:
    done = mapped.run("resolve", "--app", str(mapped.app), input=row(1) + line + "\n")
    assert done.returncode == 2
    assert json.loads(done.stdout)["id"] == "row 1"
    assert done.stderr.decode().count("\n") == 1
    assert named in done.stderr.decode()


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (b"[" * 100_000, ""),
        (b'{"job":' + b"[" * 100_000, ""),
        (b"[1]", ""),
        (b"\xff", ""),
        (b'{"job": "A@handle"}', "A@handle"),
        (b'{"job": "A@handle", "more": ' + b"9" * 5_000 + b"}", "A@handle"),
        (b'{"displayName": "Mail", "job": "A@handle", "data": {"command": "O:1:"}}', "Mail"),
    ],
)
def test_a_failed_job_of_any_payload_has_its_line(payload: bytes, name: str) -> None:
    assert job_name(payload) == name


def test_a_file_that_is_not_there_is_named(bridge: Command) -> None:
    assert "/no/rows" in bridge.problem(2, "resolve", "--app", str(bridge.app), "/no/rows")


def test_a_file_that_is_not_utf8_is_an_error_of_one_line(bridge: Command, tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_bytes(b'{"payload": "\xff\xfe"}\n')
    bridge.problem(2, "resolve", "--app", str(bridge.app), str(file))


def test_input_that_is_not_utf8_is_an_error_of_one_line(bridge: Command) -> None:
    done = bridge.run("resolve", "--app", str(bridge.app), input=b'{"payload": "\xff\xfe"}\n')
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


def test_a_rung_that_there_is_not_is_named(bridge: Command) -> None:
    line = bridge.problem(2, "resolve", "--app", str(bridge.app), "--only", "native,magic")
    assert "magic" in line
    assert "mapping" in line


def test_only_the_allowed_rungs_answer(mapped: Command) -> None:
    done = mapped.run("resolve", "--app", str(mapped.app), "--only", "framework", input=row(1))
    assert json.loads(done.stdout)["outcome"] == "refused"


@pytest.mark.parametrize("version", ["eleven", ""])
def test_a_version_that_is_none_is_an_error_of_one_line(bridge: Command, version: str) -> None:
    bridge.problem(78, "resolve", "--app", str(bridge.app), "--laravel", version)


def test_a_reader_that_goes_away_is_no_error(mapped: Command, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(row(1) * 2000)
    script = (
        f"{sys.executable} -m bridge resolve --app {mapped.app} {file} | head -1; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=environment(), timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")


# ---- events ----------------------------------------------------------------------------------


def test_events_of_a_folder_without_source_says_so(bridge: Command) -> None:
    done = bridge.run("events", "--app", str(bridge.app))
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"has no PHP source" in done.stderr


def test_main_gives_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resolve", "--app", "/nowhere/app"]) == 78
    captured = capsys.readouterr()
    assert re.fullmatch(r"bridge: .*/nowhere/app.*\n", captured.err)


# ---- secrets ---------------------------------------------------------------------------------


def test_no_secret_is_written_while_it_serves(bridge: Command, tmp_path: Path) -> None:
    with services.sqlite(tmp_path) as database:
        bridge.env("".join(f"{k}={v}\n" for k, v in database.env.items()) + "QUEUE_CONNECTION=database\n")
        engine = database.engine()
        with engine.begin() as connection:
            payload = job(PhpObject("App\\Events\\Shipped", {b"id": b"canarysecret"})).decode()
            connection.execute(
                sqlalchemy.text(
                    "insert into jobs (queue, payload, attempts, available_at, created_at)"
                    " values ('default', :payload, 0, 0, 0)"
                ),
                {"payload": payload},
            )
        log = tmp_path / "log"
        command = [sys.executable, "-m", "bridge", *serve(bridge)]
        with running(command, cwd=tmp_path, log=log, env=environment(BRIDGE_LOG_LEVEL="debug")) as process:

            def failed() -> bool:
                assert process.poll() is None, log.read_text()
                with engine.connect() as connection:
                    count = connection.exec_driver_sql("select count(*) from failed_jobs").scalar_one()
                return bool(count)

            wait_until("the job has failed", failed)
            process.terminate()
            assert process.wait(timeout=60) == 0
        engine.dispose()
        bridge.written += log.read_text()
        assert "Shipped" in bridge.written


def test_garbage_is_looked_for_once_while_serve_starts_and_what_is_there_by_then_is_left_out(
    tmp_path: Path,
) -> None:
    app = tmp_path / "app"
    app.mkdir()
    write_app(app)
    code = (
        "import gc, sys\n"
        "from bridge.cli import main\n"
        "early = []\n"
        "def look(phase, about):\n"
        "    if phase == 'stop' and 'bridge.settings.load' in sys.modules and not gc.get_freeze_count():\n"
        "        found = about['collected'] > 0\n"
        "        early.append((about['generation'], found, 'bridge.serve.daemon' in sys.modules))\n"
        "gc.callbacks.append(look)\n"
        "print(main(sys.argv[1:]), early, gc.get_freeze_count() > 10_000, gc.isenabled())\n"
    )
    flags = ("--app", str(app), "--port", str(services.free_port()), "--stop-when-empty")
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", *flags], capture_output=True, text=True, env=environment()
    )
    assert done.stdout.splitlines()[-1:] == ["0 [(2, True, False)] True True"], done


def test_serve_imports_nothing_that_an_app_may_not_need() -> None:
    """A client of another store takes 7 to 12 MB and a tenth of the start, each of the others 1 or 2 MB."""
    spared = (
        "psycopg",
        "pymysql",
        "httpx",
        "cryptography.hazmat.primitives.ciphers",
        "nacl",
        "bridge.sockets.cluster.cluster",
        "bridge.doctor.examine",
        "bridge.doctor.stores",
        "bridge.jobs.resolve.survey.survey",
        "bridge.jobs.queue.sql.driver",
        "difflib",
        "html.entities",
        "prometheus_client",
        "smtplib",
    )
    code = (
        "import sys, bridge.cli.serve, bridge.cli.banner, bridge.serve.daemon\n"
        f"print([name for name in {spared} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
