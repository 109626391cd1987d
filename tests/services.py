"""Real servers for tests and benches: MariaDB, PostgreSQL and Redis in a temporary folder, on free ports.

Each is a context manager (`with mariadb() as server:`) and is gone afterwards, also when the process that
started it is killed. `tests/conftest.py` offers them as fixtures. A missing program is a `MissingProgram`
that names the Debian package; nothing is skipped.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import pymysql
import redis
import sqlalchemy
import sqlalchemy.exc

USER = "bridge"
PASSWORD = "s3cret & more"
START_LIMIT = 60.0  # seconds until a server must answer
PR_SET_PDEATHSIG = 1
PORTS = range(12_000, 32_000)  # above those that a browser refuses, below those that Linux hands out

LaravelDriver = Literal["mysql", "pgsql", "sqlite"]


class MissingProgram(LookupError):
    """A server's program is not installed; the message names the Debian package."""


def program(name: str, package: str) -> str:
    """The full path of an installed program; also looks where Debian hides PostgreSQL's."""
    places = [*glob.glob("/usr/lib/postgresql/*/bin"), "/usr/sbin", "/usr/local/sbin"]
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *sorted(places, reverse=True)])
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingProgram(f"{name} is not installed: apt-get install {package}")
    return found


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that no other call on this machine gets soon.

    None that the kernel hands out by itself: whoever asks it for any port might get this one, too, before
    it is used.
    """
    with open(Path(tempfile.gettempdir()) / f"bridge-ports-{os.getuid()}", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        given = int(file.read() or 0)
        for number in range(given + 1, given + len(PORTS) + 1):
            port = PORTS[number % len(PORTS)]
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                file.truncate(0)
                file.write(str(number))
                return port
    raise OSError(f"no port of {PORTS} is free")


def wait_until(true: Callable[[], bool], what: str, limit: float = START_LIMIT) -> None:
    """Returns once `true()` is; TimeoutError naming `what` after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {limit} s")
        time.sleep(0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """An empty database with Laravel's `jobs` and `failed_jobs` tables.

    `env` is what an app's `.env` says to reach it (`DB_CONNECTION`, `DB_HOST`, …).
    """

    driver: LaravelDriver
    url: sqlalchemy.URL
    env: dict[str, str]

    def engine(self) -> sqlalchemy.Engine:
        """A new engine; the caller disposes of it."""
        waits = {"timeout": 60} if self.driver == "sqlite" else {}  # for whoever writes, on a slow machine
        return sqlalchemy.create_engine(self.url, connect_args=waits)


class Server:
    """A server process on 127.0.0.1; can be killed, paused and started again on the same data and port."""

    user = USER
    password = PASSWORD
    host = "127.0.0.1"

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        port: int,
        answers: Callable[[Server], bool],
        run_as: str | None = None,
    ):
        self.folder = folder
        self.port = port
        self._command = command
        self._answers = answers
        self._run_as = run_as
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """The server answers. Its output is in `server.log` of its folder."""
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self._run_as,
                group=self._run_as,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        try:
            wait_until(self._answers_or_died, f"{Path(self._command[0]).name} answers")
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """The process has ended; SIGKILL for a crash. Nothing happens when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """The process is stopped and answers nothing until `resume`."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def cpu_seconds(self) -> float:
        """CPU time of the server and its children (PostgreSQL works in those) so far."""
        return sum(_cpu_ticks(pid) for pid in (self.pid, *_children(self.pid))) / os.sysconf("SC_CLK_TCK")

    def _answers_or_died(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            log = (self.folder / "server.log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self._command[0]} ended with {self._process.returncode}:\n{log}")
        return self._answers(self)


class SqlServer(Server):
    """MariaDB or PostgreSQL."""

    driver: LaravelDriver
    dialect: str
    query: Mapping[str, str]
    home: str  # the database that is always there
    _made = 0

    def url(self, database: str) -> sqlalchemy.URL:
        return sqlalchemy.URL.create(
            self.dialect, self.user, self.password, self.host, self.port, database, query=self.query
        )

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """A fresh database, dropped afterwards."""
        self._made += 1
        name = f"laravel_{os.getpid()}_{self._made}"
        self._administer(f"CREATE DATABASE {name}")
        try:
            create_tables(self.url(name))
            env = {
                "DB_CONNECTION": self.driver,
                "DB_HOST": self.host,
                "DB_PORT": str(self.port),
                "DB_DATABASE": name,
                "DB_USERNAME": self.user,
                "DB_PASSWORD": f'"{self.password}"',
            }
            yield Database(driver=self.driver, url=self.url(name), env=env)
        finally:
            with contextlib.suppress(sqlalchemy.exc.OperationalError):  # a test may leave the server dead
                force = " WITH (FORCE)" if self.driver == "pgsql" else ""
                self._administer(f"DROP DATABASE {name}{force}")

    def _administer(self, sql: str) -> None:
        engine = sqlalchemy.create_engine(self.url(self.home), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(sql)
        finally:
            engine.dispose()


class MariaDB(SqlServer):
    driver = "mysql"
    dialect = "mysql+pymysql"
    query: Mapping[str, str] = MappingProxyType({"charset": "utf8mb4"})
    home = "mysql"


class PostgreSQL(SqlServer):
    driver = "pgsql"
    dialect = "postgresql+psycopg"
    query: Mapping[str, str] = MappingProxyType({})
    home = "postgres"


class Redis(Server):
    user = "default"

    def client(self, **options: object) -> redis.Redis:
        """A new client that speaks bytes; the caller closes it."""
        return redis.Redis(host=self.host, port=self.port, password=self.password, **options)  # type: ignore[arg-type]

    @property
    def env(self) -> dict[str, str]:
        """What an app's `.env` says to reach it."""
        return {
            "REDIS_HOST": self.host,
            "REDIS_PORT": str(self.port),
            "REDIS_PASSWORD": f'"{self.password}"',
        }


@contextlib.contextmanager
def mariadb(*options: str) -> Iterator[MariaDB]:
    """MariaDB with durability switched off; `options` are added to mariadbd's command line."""
    mariadbd = program("mariadbd", "mariadb-server")
    install = program("mariadb-install-db", "mariadb-server")
    with _folder() as folder:
        data = folder / "data"
        user = ["--user=root"] if os.geteuid() == 0 else []
        _run(
            [
                install,
                "--no-defaults",
                *user,
                f"--datadir={data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                f"--tmpdir={folder}",  # its temporary tables are named by its pid: others have them in /tmp
            ],
            folder,
        )
        init = folder / "init.sql"
        init.write_text(
            f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        )
        port = free_port()
        server = MariaDB(
            [
                mariadbd,
                "--no-defaults",
                *user,
                f"--datadir={data}",
                f"--socket={folder}/mariadb.sock",
                f"--pid-file={folder}/mariadb.pid",
                f"--port={port}",
                "--bind-address=127.0.0.1",
                f"--init-file={init}",
                "--skip-name-resolve",
                "--skip-log-bin",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-flush-method=nosync",
                "--innodb-doublewrite=0",
                "--innodb-buffer-pool-size=64M",
                "--innodb-log-file-size=32M",
                "--performance-schema=OFF",
                "--character-set-server=utf8mb4",
                *options,
            ],
            folder,
            port,
            _mariadb_answers,
        )
        with _running(server):
            yield server


@contextlib.contextmanager
def postgres(*options: str) -> Iterator[PostgreSQL]:
    """PostgreSQL without fsync; as root it runs as the user `postgres`, since it refuses root."""
    initdb = program("initdb", "postgresql")
    postmaster = program("postgres", "postgresql")
    run_as = "postgres" if os.geteuid() == 0 else None
    with _folder() as folder:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if run_as:
            shutil.chown(folder, run_as, run_as)
            shutil.chown(secret, run_as, run_as)
        data = folder / "data"
        _run(
            [
                initdb,
                "--no-sync",
                f"--username={USER}",
                "--auth=scram-sha-256",
                f"--pwfile={secret}",
                "--encoding=UTF8",
                "--locale=C",
                "--pgdata",
                str(data),
            ],
            folder,
            run_as,
        )
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "shared_buffers": "32MB",
            "max_connections": "60",
        }
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = PostgreSQL(
            [postmaster, "-D", str(data), *arguments, *options], folder, port, _postgres_answers, run_as
        )
        with _running(server):
            yield server


@contextlib.contextmanager
def redis_server(*, persistent: bool = False, valkey: bool = False, **settings: str) -> Iterator[Redis]:
    """Redis, or Valkey; nothing is on disk unless `persistent` (then every command is, before its reply)."""
    with _folder() as folder:
        if valkey:
            # one program under several names; the package of the server itself would start a service
            binary = str(folder / "valkey-server")
            os.symlink(program("valkey-check-rdb", "valkey-tools"), binary)
        else:
            binary = program("redis-server", "redis-server")
        port = free_port()
        given = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(folder),
            "requirepass": PASSWORD,
            "save": "",
            "appendonly": "yes" if persistent else "no",
            "appendfsync": "always",
            **settings,
        }
        arguments = [word for name, value in given.items() for word in (f"--{name}", value)]
        server = Redis([binary, *arguments], folder, port, _redis_answers)
        with _running(server):
            yield server


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[Database]:
    """A database file in `folder`."""
    path = folder / f"laravel-{len(list(folder.iterdir()))}.sqlite"
    url = sqlalchemy.URL.create("sqlite", database=str(path))
    create_tables(url)
    yield Database(driver="sqlite", url=url, env={"DB_CONNECTION": "sqlite", "DB_DATABASE": str(path)})


# Column types as the framework's own migrations make them. A database with a prefix calls its
# tables accordingly: `create_tables(url, "app_")`.
TYPES: dict[str, dict[str, str]] = {
    "mysql": {
        "id": "bigint unsigned not null auto_increment primary key",
        "string": "varchar(255) not null",
        "text": "text not null",
        "long": "longtext not null",
        "tiny": "tinyint unsigned not null",
        "int": "int unsigned",
        "now": "timestamp not null default current_timestamp",
        "table": "default character set utf8mb4 collate utf8mb4_unicode_ci",
    },
    "postgresql": {
        "id": "bigserial not null primary key",
        "string": "varchar(255) not null",
        "text": "text not null",
        "long": "text not null",
        "tiny": "smallint not null",
        "int": "integer",
        "now": "timestamp(0) without time zone not null default current_timestamp",
        "table": "",
    },
    "sqlite": {
        "id": "integer primary key autoincrement not null",
        "string": "varchar not null",
        "text": "text not null",
        "long": "text not null",
        "tiny": "integer not null",
        "int": "integer",
        "now": "datetime not null default current_timestamp",
        "table": "",
    },
}

TABLES = (
    "create table {prefix}jobs (id {id}, queue {string}, payload {long}, attempts {tiny},"
    " reserved_at {int} null, available_at {int} not null, created_at {int} not null) {table}",
    "create index {prefix}jobs_queue_index on {prefix}jobs (queue)",
    "create table {prefix}failed_jobs (id {id}, uuid {string} unique, connection {text}, queue {text},"
    " payload {long}, exception {long}, failed_at {now}) {table}",
)


def create_tables(url: sqlalchemy.URL, prefix: str = "") -> None:
    """The tables `jobs` and `failed_jobs` (with uuid) exist in the database at `url`."""
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.begin() as connection:
            for sql in TABLES:
                connection.exec_driver_sql(sql.format(prefix=prefix, **TYPES[engine.dialect.name]))
    finally:
        engine.dispose()


def _mariadb_answers(server: Server) -> bool:
    try:
        pymysql.connect(
            host=server.host, port=server.port, user=server.user, password=server.password, connect_timeout=20
        ).close()
    except pymysql.Error:
        return False
    return True


def _postgres_answers(server: Server) -> bool:
    assert isinstance(server, PostgreSQL)
    try:
        server._administer("select 1")
    except sqlalchemy.exc.OperationalError:
        return False
    return True


def _redis_answers(server: Server) -> bool:
    assert isinstance(server, Redis)
    with contextlib.closing(server.client(socket_connect_timeout=20, socket_timeout=20)) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _run(command: Sequence[str], folder: Path, run_as: str | None = None) -> None:
    done = subprocess.run(
        command, capture_output=True, cwd=folder, user=run_as, group=run_as, timeout=120, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(done.stderr or done.stdout).decode()[-2000:]}")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bridge-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextlib.contextmanager
def _running(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cpu_ticks(pid: int) -> int:
    """User and system time of the process itself, and of children it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # a backend that ended meanwhile: its time is in its parent's
        return 0
    return sum(int(fields[index]) for index in (11, 12, 13, 14))
