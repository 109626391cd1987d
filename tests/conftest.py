"""Fixtures that every room may use: real servers, started once per run and only when asked for."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests import output_secrets, services

Running = TypeVar("Running")

# What `make test` begins first, so that nothing long stands alone at the end: files of which a single test
# takes a minute, then files and folders that take long. All others are short.
SLOW = (
    "end_to_end/image_checks.py",
    "sockets/server/test_pusher_js.py",
    "monitoring/dashboard/test_page.py",
    "oracle/test_written.py",
    "oracle/test_undefined.py",
    "bench/",
    "conformance/",
    "end_to_end/test_reservations.py",
    "end_to_end/test_other_jobs.py",
    "end_to_end/test_lifecycle.py",
    "end_to_end/test_several_processes.py",
    "end_to_end/test_deploys.py",
    "chaos/",
    "end_to_end/test_echo_browser.py",
    "end_to_end/",
    "fuzz/",
    "test_distributions.py",
    "oracle/",
    "infrastructure/",
    "jobs/resolve/",
    "sockets/cluster/",
    "doctor/",
    "phpeval/laravel/eloquent/",
    "jobs/",
    "monitoring/",
    "serve/",
    "cli/",
    "test_",
    "sockets/",
)
ROOT = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        name = item.path.relative_to(ROOT).as_posix()
        return next((at for at, slow in enumerate(SLOW) if name.startswith(slow)), len(SLOW))

    items.sort(key=rank)


def keep_compiled_php() -> None:
    """PHP keeps Laravel compiled, as it does behind a web server: its many processes start sooner.

    Nothing outside of /usr is kept: what tests write and change is compiled anew each time.
    """
    php = os.path.realpath(shutil.which("php") or "php")
    folder = ROOT.parent / "build" / "php" / hashlib.sha256(php.encode()).hexdigest()[:8]
    (folder / "compiled").mkdir(parents=True, exist_ok=True)
    tops = [top for top in Path("/").iterdir() if top.name != "usr"]
    changing = [f"{folder}/**\n" for folder in (*tops, ROOT.parent)]
    settings = {
        "enable_cli": "1",
        "file_cache": folder / "compiled",
        "file_cache_only": "1",
        "blacklist_filename": folder / "changing",
    }
    text = "".join(f'opcache.{name}="{value}"\n' for name, value in settings.items())
    for name, lines in (("changing", "".join(changing)), ("opcache.ini", text)):
        written = folder / f"{name}-{os.getpid()}"  # several workers start at once
        written.write_text(lines)
        written.replace(folder / name)
    os.environ["PHP_INI_SCAN_DIR"] = f":{folder}"


keep_compiled_php()
output_secrets.watch()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """A test in which bridge told a secret fails, whatever else it is about; so does one that was over when
    its bridge did: the next."""
    yield
    leaks = output_secrets.take()
    assert not leaks, "\n".join(["bridge told what nobody may read:", *leaks])


@pytest.fixture(scope="session")
def mariadb() -> Iterator[services.MariaDB]:
    with _or_fail(services.mariadb()) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[services.PostgreSQL]:
    with _or_fail(services.postgres()) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[services.Redis]:
    with _or_fail(services.redis_server()) as server:
        yield server


@pytest.fixture
def mariadb_database(mariadb: services.MariaDB) -> Iterator[services.Database]:
    with mariadb.database() as database:
        yield database


@pytest.fixture
def postgres_database(postgres: services.PostgreSQL) -> Iterator[services.Database]:
    with postgres.database() as database:
        yield database


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[services.Database]:
    with services.sqlite(tmp_path) as database:
        yield database


@pytest.fixture(params=["mariadb", "postgres", "sqlite"])
def database(request: pytest.FixtureRequest) -> services.Database:
    """The test runs once on each engine, each time with an empty database."""
    made = request.getfixturevalue(f"{request.param}_database")
    assert isinstance(made, services.Database)
    return made


@contextlib.contextmanager
def _or_fail(server: contextlib.AbstractContextManager[Running]) -> Iterator[Running]:
    """A missing program fails the test, in one line; it is never skipped."""
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(server)
        except services.MissingProgram as missing:
            pytest.fail(str(missing), pytrace=False)
        yield running
