"""README, docs/, ARCHITECTURE, CONTRIBUTING and the docstrings of packages say what is there: settings,
commands, codes, files.
"""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from bridge import __version__
from bridge.cli.program import EXIT_CODES, parser
from bridge.jobs.resolve.ladder import RUNGS
from bridge.settings.load import load_settings
from bridge.settings.table import SETTINGS, settings_table
from bridge.sockets.pusher import close_codes
from bridge.sockets.server import api
from bridge.sockets.server.node import Node

ROOT = Path(__file__).parents[1]
PAGES = {
    page.name: page.read_text(encoding="utf-8")
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
}
ALL = "\n".join(PAGES.values())
CODE = re.findall(r"^ *```(\w+)\n(.*?)^ *```", ALL, re.MULTILINE | re.DOTALL)
ENV = """PUSHER_APP_ID=1
PUSHER_APP_KEY=key
PUSHER_APP_SECRET=secret
SECOND_SECRET=second
BROADCAST_CONNECTION=pusher
"""


def commands() -> dict[str, argparse.ArgumentParser]:
    [subparsers] = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(subparsers.choices)


def test_the_table_of_settings_is_the_generated_one() -> None:
    assert settings_table() in PAGES["settings.md"], "run make docs"


def flags(command: argparse.ArgumentParser) -> set[str]:
    """Of the command and of what it can do, without --help."""
    found = {flag for action in command._actions for flag in action.option_strings}
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= {flag for below in action.choices.values() for flag in flags(below)}
    return found - {"-h", "--help"}


def sections(page: str) -> dict[str, str]:
    """Heading → text below it, up to the next heading of the same level."""
    parts = re.split(r"^## (.+)$", PAGES[page], flags=re.MULTILINE)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_command_has_its_section_with_every_flag_and_no_other() -> None:
    found = sections("commands.md")
    table = re.findall(r"^\| \[`bridge (\w+)`\]\(#bridge-\1\) \|", found[""], re.MULTILINE)
    assert sorted(table) == sorted(commands())
    without_app = re.search(r"^All but `(\w+)` and `(\w+)` take `--app DIR`", found[""], re.MULTILINE)
    assert without_app is not None
    for name, command in commands().items():
        told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", found[f"bridge {name}"]))
        everywhere = set() if name in without_app.groups() else {"--app", "--config"}
        assert told | everywhere == flags(command), name


def test_no_command_is_promised_that_is_not_there() -> None:
    named = {command for command in re.findall(r"\bbridge ([a-z]+) --", ALL)}
    assert named <= set(commands())


def test_every_exit_code_has_its_row() -> None:
    codes = {0, 1, 2, 130, *(code for _, code in EXIT_CODES)}
    rows = re.findall(r"^\| (\d+) \|", sections("commands.md")["Exit codes"], re.MULTILINE)
    assert {int(row) for row in rows} == codes


def test_every_rung_has_its_row() -> None:
    assert re.findall(
        r"^\| `(mapping|framework|native|php)` \|", PAGES["resolving.md"], re.MULTILINE
    ) == list(RUNGS)


def test_every_endpoint_stands_with_its_method() -> None:
    for route in api.routes(Node([]), lambda: {"ready": True}):
        methods = sorted((route.methods or set()) - {"HEAD"})
        path = route.path.replace(":path}", "}")
        stands = f"`{path}`" in PAGES["http.md"] or any(f"`{m} {path}`" in PAGES["http.md"] for m in methods)
        assert stands, f"{methods} {path}"
    served = {route.path.replace(":path}", "}") for route in api.routes(Node([]), lambda: {"ready": True})}
    rows = re.findall(r"^\| `(?:GET |POST )?(/[^`]*)` \| ", PAGES["http.md"], re.MULTILINE)
    assert set(rows) == served


PACKAGES = [
    str(file.parent.relative_to(ROOT))
    for file in sorted((ROOT / "bridge").rglob("__init__.py"))
    if file.stat().st_size
]
OF_THE_CODE = ("ARCHITECTURE.md", "CONTRIBUTING.md")
INSIDE = {name: (ROOT / name).read_text(encoding="utf-8") for name in (*OF_THE_CODE, "SECURITY.md")}
# Not docs/: pages link each other, and tests/test_site.py follows the links.
PATH = re.compile(r"(?<![\w/.-])(?:bridge|docker|systemd|tests|fixtures|\.ci)/[\w./-]*\w")


@pytest.mark.parametrize("page", [*PAGES, *INSIDE])
def test_every_path_of_this_project_exists(page: str) -> None:
    named = set(PATH.findall((PAGES | INSIDE)[page]))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", OF_THE_CODE)
def test_these_name_many_paths_and_every_file_that_they_name_alone_exists(page: str) -> None:
    assert len(set(PATH.findall(INSIDE[page]))) > 25
    alone = set(re.findall(r"`([a-z_]+\.(?:py|php|lua|js|mjs))`", INSIDE[page]))
    there = {file.name for top in ("bridge", "tests") for file in (ROOT / top).rglob("*.*")}
    assert alone <= there


def test_every_thread_of_the_daemon_stands_in_the_architecture() -> None:
    named = set()
    for file in (ROOT / "bridge").rglob("*.py"):
        if "demo" not in file.parts:
            text = file.read_text(encoding="utf-8")
            named |= set(re.findall(r'Thread\([^)]*name=f?"([a-z]+(?:-[a-z]+)*)', text))
            named |= set(re.findall(r'thread_name_prefix="([a-z-]+)"', text))
    assert named >= {"queue", "php-starts", "checks"}
    table = INSIDE["ARCHITECTURE.md"].split("## Threads", 1)[1].split("\n## ", 1)[0]
    assert [name for name in sorted(named) if f"| `{name}" not in table] == []


@pytest.mark.parametrize("page", OF_THE_CODE)
def test_every_name_in_code_that_they_name_beside_a_file_is_in_it(page: str) -> None:
    beside = [
        (file, name)
        for file, names in re.findall(r"`((?:bridge|tests)/[\w./-]+\.py)` \(([^)]+)\)", INSIDE[page])
        for name in re.findall(r"`(\w+)`", names)
    ]
    before = re.findall(r"`(\w+)`(?: of| in|s in) `((?:bridge|tests)/[\w./-]+\.\w+)`", INSIDE[page])
    beside += [(file, name) for name, file in before]
    assert beside
    for file, name in beside:
        assert re.search(rf"\b{name}\b", (ROOT / file).read_text(encoding="utf-8")), f"{name} in {file}"


@pytest.mark.parametrize("page", OF_THE_CODE)
def test_every_class_and_method_that_they_name_is_there(page: str) -> None:
    code = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "bridge").rglob("*.py"))
    for class_name, method in re.findall(r"`([A-Z]\w+)\.([a-z_]+)`", INSIDE[page]):
        assert re.search(rf"^class {class_name}\b", code, re.MULTILINE), class_name
        assert f"def {method}(" in code, method


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_that_a_package_names_is_there(package: str) -> None:
    folder = ROOT / package
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = {one.stem for one in folder.iterdir()}
    listed = set(re.findall(r"^    (\w+) {2,}\S", text, re.MULTILINE))
    assert sorted(listed - modules) == []
    files = set(re.findall(r"`([\w-]+\.(?:py|php|lua))`", text))
    assert [file for file in sorted(files) if not (folder / file).exists()] == []
    # Other words between backticks are modules, folders elsewhere, or words of the package's own code.
    folders = {one.name for one in (ROOT / "bridge").rglob("*") if one.is_dir()}
    code = "\n".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    words = set(re.findall(r"`([a-z]\w*)`", text)) - modules - folders
    assert [word for word in sorted(words) if not re.search(rf"def {word}\b|['\"]{word}['\"]", code)] == []
    paths = [path.replace(".", "/") for path in re.findall(r"`((?:jobs|sockets|phpeval)\.[a-z_.]+)`", text)]
    assert [path for path in paths if not (ROOT / "bridge" / path).exists()] == []


def test_every_folder_with_code_stands_in_the_architecture() -> None:
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "bridge").glob("*/__init__.py")}
    named = {Path(*Path(path).parts[:2]) for path in PATH.findall(INSIDE["ARCHITECTURE.md"])}
    assert folders <= named


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    everything = ALL + "\n".join(INSIDE.values())
    assert set(re.findall(r"(?:`|^)make ([\w-]+)", everything, re.MULTILINE)) <= targets


@pytest.mark.parametrize("toml", [code for language, code in CODE if language == "toml"])
def test_every_example_of_bridge_toml_is_read(tmp_path: Path, toml: str) -> None:
    (tmp_path / ".env").write_text(ENV, encoding="utf-8")
    (tmp_path / "bridge.toml").write_text(toml, encoding="utf-8")
    settings = load_settings({}, {}, tmp_path, tmp_path / "bridge.toml")
    for name, value in tomllib.loads(toml).items():
        if name == "app_config":
            assert {key: settings.laravel.config.get(key) for key in value} == value
        elif name == "apps":
            assert len(settings.toml_apps) == len(value)
        elif name in ("events", "apps_table"):
            assert getattr(settings, name)
        else:
            [setting] = (setting for setting in SETTINGS if setting.name == name)
            assert getattr(settings, name) == setting.read(value)


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 180


def test_every_close_code_has_its_row() -> None:
    told = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", PAGES["troubleshooting.md"], re.MULTILINE)
            for code in row.split(",")}  # fmt: skip
    known = {value for name, value in vars(close_codes).items() if name.isupper()}
    assert told == known


def test_the_pictures_are_there_and_of_a_modest_size() -> None:
    pictures = re.findall(r"!\[[^\]]*\]\((docs/images/[^)]+)\)", PAGES["README.md"])
    assert len(pictures) == 2
    for picture in pictures:
        content = (ROOT / picture).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) < 300_000


def test_every_command_line_in_an_example_is_understood() -> None:
    lines = [line for language, code in CODE if language == "sh" for line in code.splitlines()]
    bare = [re.sub(r"^\s*(sudo (-u \S+ )?)?", "", line) for line in lines]
    ours = [re.split(r"[<#]", line)[0] for line in bare if re.match(r"\S*bridge\s", line)]
    assert len(ours) >= 10
    for line in ours:
        parser().parse_args(shlex.split(line)[1:])


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.findall(r"^## (\S+)", changelog, re.MULTILINE)[0]
    assert newest == __version__
