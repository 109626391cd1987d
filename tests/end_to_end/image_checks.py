"""docker/Dockerfile: each target is built, serves an app as its own user, is healthy, stops on TERM."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge.demo.app import write_app
from tests import services
from tests.end_to_end.images import Buildah, Image, NoImages
from tests.end_to_end.processes import environment, family, listens, wait_until

PHP_EXTENSIONS = {"curl", "mbstring", "pdo_mysql", "pdo_pgsql", "pdo_sqlite", "redis", "dom"}


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    try:
        with Buildah.opened(tmp_path_factory.mktemp("buildah")) as buildah:
            buildah.add_base()
            yield buildah
    except (NoImages, services.MissingProgram) as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app as the image finds it in /app, the owner of its files the image's user."""
    folder = tmp_path / "app"
    folder.mkdir()
    write_app(folder)
    env = folder / ".env"
    env.write_text(env.read_text().replace(str(folder), "/app"))
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 10001, 10001)
    return folder


def with_port(words: Sequence[str], port: int) -> list[str]:
    """The image's own command line at a free port of loopback."""
    everywhere = "0.0.0.0"  # noqa: S104  (what the image says, not what is bound here)
    changed = [word.replace("6001", str(port)).replace(everywhere, "127.0.0.1") for word in words]
    assert changed != list(words), words
    return changed


def serving(process: subprocess.Popen[str]) -> int:
    """The process id of `bridge serve` below buildah's own; 0 while there is none."""
    for pid in family(process.pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        # Not buildah's own process, which bears the same words after its own name.
        if b"python" in words[0] and words[1:2] == [b"/opt/bridge/bin/bridge"]:
            return pid
    return 0


def identity(pid: int, which: str) -> set[str]:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {number for line in status if line.startswith(f"{which}:") for number in line.split()[1:]}


def in_image(buildah: Buildah, container: str, command: Sequence[str]) -> str:
    done = subprocess.run(
        buildah.run(container, command), env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.timeout(1_800)  # a base is made from the network, and everything else is at work beside it
@pytest.mark.parametrize("target", [None, "php"], ids=["plain", "php"])
def test_an_image_is_built_serves_an_app_and_stops_on_term(
    buildah: Buildah, app: Path, tmp_path: Path, target: str | None
) -> None:
    image = buildah.build(target)
    assert not [word for word in image.config["Env"] if "pip" in word.lower()]
    with buildah.container(image, app) as container:
        serves_and_stops(buildah, image, container, tmp_path / "bridge.log")
        if target == "php":
            modules = in_image(buildah, container, ["php", "-m"])
            assert set(modules.split()) >= PHP_EXTENSIONS
        else:
            assert "no php" in in_image(buildah, container, ["sh", "-c", "command -v php || echo no php"])


def serves_and_stops(buildah: Buildah, image: Image, container: str, log: Path) -> None:
    config, port = image.config, services.free_port()
    command = with_port([*config["Entrypoint"], *config["Cmd"]], port)
    with buildah.started(container, command, log) as process:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            return listens(port)

        wait_until("bridge listens", answers)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/up", timeout=60) as answer:
            assert answer.status == 200
        pid = serving(process)
        assert pid, "no bridge runs below buildah"
        assert identity(pid, "Uid") == identity(pid, "Gid") == {config["User"]} == {"10001"}
        kind, *check = config["Healthcheck"]["Test"]
        assert kind == "CMD"
        in_image(buildah, container, with_port(check, port))
        os.kill(pid, getattr(signal, config["StopSignal"]))
        assert process.wait(timeout=120) == 0, log.read_text()
    assert not listens(port)
