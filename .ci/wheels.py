"""Builds wheels into a folder: `python .ci/wheels.py [--out DIR] [phpeval] [sockets] [bridge]`, or all.

`phpeval` and `sockets` are packages of bridge that import nothing of it but the modules in `ALONG` and the
version, which import-linter checks. As distributions of their own they lose the `bridge.` before their names,
and bring a copy of these modules: each is laid out so in a temporary folder, with its own pyproject.toml and
README.md.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALONG = {"phpeval": ("errors",), "sockets": ("errors", "broadcast")}  # modules that a distribution brings
NAMES = (*ALONG, "bridge")
CACHES = shutil.ignore_patterns("__pycache__")


def lay_out(name: str, folder: Path) -> None:
    """The source tree of one of the two, ready for a build."""
    package = folder / name
    shutil.copytree(ROOT / "bridge" / name, package, ignore=CACHES)
    for module in ALONG[name]:
        shutil.copy(ROOT / "bridge" / f"{module}.py", package / f"{module}.py")
    for file in ("pyproject.toml", "README.md"):
        (package / file).rename(folder / file)
    shutil.copy(ROOT / "LICENSE", folder)
    own = re.compile(rf"\bbridge\.{name}\b")
    along = re.compile(rf"\bbridge\.({'|'.join(ALONG[name])})\b")
    for file in package.rglob("*.py"):
        text = along.sub(rf"{name}.\1", own.sub(name, file.read_text(encoding="utf-8")))
        text = text.replace("from bridge import __version__", f"from {name} import __version__")
        file.write_text(text, encoding="utf-8")
    version = re.search(r'^__version__ = ".*"$', (ROOT / "bridge/__init__.py").read_text(), re.MULTILINE)
    with (package / "__init__.py").open("a", encoding="utf-8") as init:
        init.write(f"\n{version[0] if version else ''}\n")


def build(name: str, out: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary)
        if name in ALONG:
            lay_out(name, source)
        else:
            shutil.copytree(ROOT / "bridge", source / "bridge", ignore=CACHES)
            for file in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(ROOT / file, source)
        command = [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(out),
            str(source),
        ]
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode:
            raise SystemExit(f"{name} cannot be built:\n{built.stdout}{built.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds wheels.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if strangers := set(given.names) - set(NAMES):
        parser.error(f"no distribution is called {', '.join(strangers)}")
    for name in given.names or NAMES:
        build(name, given.out)


if __name__ == "__main__":
    main()
