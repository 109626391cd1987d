"""The images of docker/Dockerfile, built and run with buildah where no base image can be pulled.

The base that the Dockerfile names is a Debian with its own Python under that name; tests/roots.sh makes
it and keeps it. Steps run by chroot, without namespaces for network and processes: nested containers allow
none of those.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests import services
from tests.end_to_end.laravel import ROOT
from tests.end_to_end.processes import environment, running

DOCKERFILE = ROOT / "docker/Dockerfile"
LIMIT = 900.0  # seconds for one command; a build takes one or two minutes


class NoImages(LookupError):
    """Something that a build needs is missing; the message names it and the remedy."""


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """`config` is the image's own, as `docker inspect` has it: User, Env, Entrypoint, Cmd, Healthcheck, …"""

    name: str
    config: dict[str, Any]


class Buildah:
    """A store of images in `folder`; gone, with its images, after `opened`."""

    def __init__(self, folder: Path) -> None:
        program = services.program("buildah", "buildah")
        store = ["--root", str(folder / "images"), "--runroot", str(folder / "run")]
        self._folder = folder
        self._command = [program, *store, "--storage-driver", "vfs"]

    @classmethod
    @contextlib.contextmanager
    def opened(cls, folder: Path) -> Iterator[Buildah]:
        """NoImages without root, services.MissingProgram without buildah."""
        if os.geteuid() != 0:
            raise NoImages("the images are built in Debian roots, which takes root: run this test as root")
        buildah = cls(folder)
        try:
            yield buildah
        finally:
            buildah.call("rm", "--all")
            buildah.call("rmi", "--all", "--force")

    def call(self, *arguments: str) -> str:
        """What the command prints to stdout; AssertionError with the end of what it says when it fails."""
        return _output([*self._command, *arguments])

    def add_base(self) -> None:
        """What the Dockerfile builds FROM is in the store."""
        root = _output(["sh", str(ROOT / "tests/roots.sh"), "bookworm"]).strip()
        container = self.call("from", "scratch").strip()
        self.call("copy", "--quiet", container, root, "/")
        self.call("commit", "--quiet", container, f"docker.io/library/{base_name()}")
        self.call("rm", container)

    def build(self, target: str | None) -> Image:
        """The image of the Dockerfile's target; of its last stage where None is given."""
        name = f"localhost/bridge-{target or 'plain'}"
        chosen = ["--target", target] if target else []
        self.call(
            *("build", "--isolation", "chroot", "--network", "host", "--pull-never"),
            *("--format", "docker", "--file", str(DOCKERFILE), "--tag", name, *chosen),
            *(f"--volume={volume}" for volume in _pip_volumes(self._folder)),
            str(ROOT),
        )
        inspected = json.loads(self.call("inspect", "--type", "image", name))
        return Image(name, inspected["Docker"]["config"])

    @contextlib.contextmanager
    def container(self, image: Image, app: Path) -> Iterator[str]:
        """The name of a container that sees the folder `app` as /app; `run` runs in it."""
        name = self.call("from", "--pull-never", "--volume", f"{app}:/app", image.name).strip()
        try:
            yield name
        finally:
            self.call("rm", name)

    def run(self, container: str, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in the container, with the image's user and environment."""
        return [*self._command, "run", "--isolation", "chroot", container, "--", *command]

    @contextlib.contextmanager
    def started(self, container: str, command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[str]]:
        with running(self.run(container, command), cwd=self._folder, log=log, env=environment()) as process:
            yield process


def base_name() -> str:
    """The one image that the Dockerfile's first stages are FROM, as it is written there."""
    lines = [line.split() for line in DOCKERFILE.read_text().splitlines()]
    stages = {words[3] for words in lines if words[:1] == ["FROM"]}
    (name,) = {words[1] for words in lines if words[:1] == ["FROM"]} - stages
    return name


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(
        command, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT
    )
    told = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, f"{shlex.join(command)} ended with {done.returncode}:\n{told}"
    return done.stdout


def _pip_volumes(folder: Path) -> list[str]:
    """This machine's settings of pip as one file, and the local files that they name, for a build to see.

    They are mounted while it lasts: nothing of them gets into the image.
    """
    said = _output([sys.executable, "-m", "pip", "config", "list"])
    settings: dict[str, str] = {}
    for key, value in re.findall(r"^([^=\s]+)=(.+)$", said, re.MULTILINE):  # later ones win, :env: is first
        section, _, name = key.rpartition(".")
        if section in {"global", "install", ":env:"}:
            settings.setdefault(name, ast.literal_eval(value))
    written = folder / "pip.conf"
    lines = (f"{name} = {' '.join(value.split())}\n" for name, value in settings.items())
    written.write_text("[global]\n" + "".join(lines))
    words = {word for value in settings.values() for word in value.split()}
    # The pages of an index name files beside its folder.
    paths = {str(Path(urlsplit(word).path).parent) if word.startswith("file:") else word for word in words}
    there = sorted(path for path in paths if path.startswith("/") and path != "/" and Path(path).exists())
    outer = [path for path in there if not any(path.startswith(f"{other}/") for other in there)]
    return [f"{written}:/etc/pip.conf:ro", *(f"{path}:{path}:ro" for path in outer)]
