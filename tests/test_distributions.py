"""phpeval and sockets stand alone: built as wheels, their README's lines run where nothing else is."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bridge import __version__
from bridge.errors import Refused
from bridge.phpeval.php.runtime.values import PhpObject
from bridge.phpeval.php.serialization.unserialize import unserialize
from bridge.phpeval.program import Program
from tests import services

ROOT = Path(__file__).parents[1]
SAID: dict[str, Callable[[str], bool]] = {
    "phpeval": lambda out: out == '{"id":7,"items":["TEA","MILK"]}\n',
    "sockets": lambda out: "Published(" in out and "receivers=0" in out and "'news'" in out,
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheels")
    subprocess.run([sys.executable, str(ROOT / ".ci/wheels.py"), "--out", str(out)], check=True, timeout=600)
    return out


def lines_of(name: str) -> str:
    readme = (ROOT / "bridge" / name / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    return str(code)


@pytest.mark.parametrize("name", SAID)
def test_the_lines_of_its_readme_run_in_an_empty_environment(wheels: Path, tmp_path: Path, name: str) -> None:
    [wheel] = wheels.glob(f"{name}-{__version__}-*.whl")
    venv.create(tmp_path / "venv")
    python = str(tmp_path / "venv/bin/python")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", str(wheel)]
    subprocess.run(install, check=True, timeout=600)
    code = lines_of(name).replace("6001", str(services.free_port()))
    ran = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert SAID[name](ran.stdout), ran.stdout
    alone = [python, "-I", "-c", "import bridge"]
    assert subprocess.run(alone, capture_output=True, timeout=120).returncode == 1


def test_the_distribution_of_the_whole_is_called_laravel_bridge(wheels: Path) -> None:
    [wheel] = wheels.glob("laravel_bridge-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = f"laravel_bridge-{__version__}.dist-info"
        metadata = message_from_bytes(archive.read(f"{info}/METADATA"))
        assert archive.read(f"{info}/entry_points.txt").decode().split() == [
            "[console_scripts]", "bridge", "=", "bridge.cli:main",
        ]  # fmt: skip
    assert (metadata["Name"], metadata["Version"], metadata["Author"]) == (
        "laravel-bridge", __version__, "bridge contributors",
    )  # fmt: skip
    assert metadata.get_all("Project-URL") is None
    assert {name.split("/")[0] for name in names} == {"bridge", info}
    assert {"bridge/py.typed", "bridge/demo/page.html"} <= set(names)
    assert all("tests" not in name and "pyproject" not in name for name in names)


# ---- Program: what phpeval offers for a first try ----------------------------------------------------

ORDER = """<?php class Order {
    public $id; private $note = 'x';
    public function now() { return now(); }
    public function name() { return config('app.name'); }
    public function debug() { return env('APP_DEBUG'); }
    public static function twice(int $n) { return $n * 2; }
    public function write() { file_put_contents('/tmp/x', 'y'); }
    public function fail() { throw new RuntimeException('no'); }
}"""


def order() -> PhpObject:
    value = unserialize(b'O:5:"Order":1:{s:2:"id";i:7;}')
    assert isinstance(value, PhpObject)
    return value


def test_a_program_calls_methods_of_objects_and_classes() -> None:
    program = Program(ORDER)
    assert program.call_static("Order", "twice", 21) == 42
    assert program.json(order()) == '{"id":7}'


@pytest.mark.parametrize("method", ["now", "name", "debug", "write"])
def test_what_it_cannot_know_it_refuses(method: str) -> None:
    with pytest.raises(Refused):
        Program(ORDER).call(order(), method)


def test_source_with_a_fault_is_refused_with_its_number() -> None:
    with pytest.raises(Refused, match="source 2"):
        Program(ORDER, "<?php class {")


# ---- dependencies -------------------------------------------------------------------------------------


def test_constraints_hold_a_version_within_the_bounds_of_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = map(Requirement, [*project["dependencies"], *chain(*project["optional-dependencies"].values())])
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(line.split("==")[0]): line.split("==")[1].split(" ")[0] for line in lines}
    for requirement in wanted:
        if requirement.name != project["name"]:
            assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, (
                "run make constraints"
            )


@pytest.mark.parametrize("name", SAID)
def test_a_part_has_the_bounds_of_the_whole(name: str) -> None:
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    part = tomllib.loads((ROOT / "bridge" / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = [*part["dependencies"], *chain(*part.get("optional-dependencies", {}).values())]
    assert own
    assert set(own) <= set(whole)
