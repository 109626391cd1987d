"""Instructions for one unit of three hot paths, counted by callgrind: a busy machine gives the same figures.

    python -m tests.bench.instructions

A publish over HTTP with one subscriber, a connect with a subscription, both by bridge's node alone, and a
literal job from its text to what is sent. Each is given as so many rounds of a fixed piece of plain Python
(`ROUND`), so that another build of Python moves both. `RECORDED` has what each took when it was last looked
at; it may take MARGIN more. Ends with 1 where one takes more than that.

A measured process is warm, its garbage collector is off and its hashes are not random.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.serve.wiring.ladder import build_ladder
from tests.bench.fanout import free_port
from tests.bench.publish import Publisher, Subscriber
from tests.bench.resolve import RELEASE, create_app, recorded

MARGIN = 1.15 if sys.version_info[:2] == (3, 11) else 2.0  # the figures are of 3.11 and constraints.txt
RECORDED: Mapping[str, float] = {"publish": 1.87, "connect": 2.36, "literal job": 1.19}
ROUND = {"id": 7, "name": "x" * 50, "lines": [{"price": 1.5, "of": [1, 2, 3]}] * 3}
COUNTS = {"publish": 300, "connect": 100, "literal job": 200, "round": 500}
PATIENCE = 600  # seconds; a process under callgrind is some fifty times as slow


@dataclass(frozen=True, slots=True)
class Counted:
    """A process under callgrind, whose files go to `folder`."""

    process: subprocess.Popen[str]
    folder: Path

    def instructions(self) -> int:
        """Since the last time."""
        self._control("--dump")
        dumps = sorted(self.folder.glob("out.*"), key=lambda file: int(file.suffix[1:]))
        [total] = re.findall(r"^totals: (\d+)$", dumps[-1].read_text(), re.MULTILINE)
        return int(total)

    def begin(self) -> None:
        """From now on instructions are counted; before, the process is some ten times as fast."""
        self._control("--instr=on")

    def _control(self, command: str) -> None:
        subprocess.run(
            ["callgrind_control", command, str(self.process.pid)],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE,
        )  # fmt: skip

    def each(self, work: Callable[[int], object], count: int) -> float:
        """Instructions for one unit of that work, which `work` has done when it returns."""
        work(count // 2)  # warm
        self.instructions()
        work(count)
        return self.instructions() / count


@contextlib.contextmanager
def counted(*arguments: str) -> Iterator[Counted]:
    """A Python process that has written its first line; it ends with its input, or by SIGTERM."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"]
        with subprocess.Popen(
            [*command, sys.executable, *arguments], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONHASHSEED": "0"},
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                assert process.stdout.readline(), "it has ended at once"
                there = Counted(process, Path(folder))
                there.begin()
                yield there
            finally:
                process.terminate()


def measured() -> dict[str, float]:
    """Rounds of ROUND for one unit of each path."""
    found = {**_in_this_module(), **_of_the_node()}
    one = found.pop("round")
    return {name: found[name] / one for name in RECORDED}


def _of_the_node() -> dict[str, float]:
    port = free_port()
    with counted("-m", "tests.bench.node_server", str(port), "--no-gc") as node:
        publisher, subscribers = Publisher(port, 1), [Subscriber(port)]

        def connect(count: int) -> None:
            for _ in range(count):
                subscribers.append(Subscriber(port))

        found = {
            "publish": node.each(publisher.send, COUNTS["publish"]),
            "connect": node.each(connect, COUNTS["connect"]),
        }
        publisher.close()
        for subscriber in subscribers:
            subscriber.close()
        return found


def _in_this_module() -> dict[str, float]:
    with counted("-m", __spec__.name if __spec__ else __name__, "child") as child:
        process = child.process
        assert process.stdin is not None
        assert process.stdout is not None
        given, answered = process.stdin, process.stdout

        def work(name: str) -> Callable[[int], None]:
            def do(count: int) -> None:
                print(f"{count} {name}", file=given, flush=True)
                assert answered.readline() == "done\n"

            return do

        return {name: child.each(work(name), COUNTS[name]) for name in ("round", "literal job")}


def _work() -> None:
    """The process that `_in_this_module` counts: does what each line of its input says."""
    gc.disable()
    text = recorded("scalar-seed")
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Path(folder) / "app")
        # a clock that stands: the look at the app's files, once a second, is no part of a job
        ladder = build_ladder(load(app, {}, RELEASE), {}, only=("native",), clock=lambda: 0.0)
        with contextlib.closing(ladder):
            print("ready", flush=True)
            for line in sys.stdin:
                count, _, name = line.strip().partition(" ")
                for _ in range(int(count)):
                    if name == "round":
                        _ = sorted(f"{key}={value}" for key, value in json.loads(json.dumps(ROUND)).items())
                    else:
                        answer = ladder.resolve(read_payload(text))
                        assert answer.outcome == "broadcast", answer
                print("done", flush=True)


def main() -> int:
    found = measured()
    for name, rounds in found.items():
        print(f"{name:14}{rounds:8.2f} rounds, {rounds / RECORDED[name]:.2f} of what is recorded")
    return int(bool(too_many(found)))


def too_many(found: Mapping[str, float]) -> list[str]:
    """The paths that take more than they may."""
    return [name for name, rounds in found.items() if rounds > MARGIN * RECORDED[name]]


if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        _work()
    else:
        sys.exit(main())
