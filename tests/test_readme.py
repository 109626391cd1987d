"""README, docs/ and CHANGELOG say what is there: settings, commands, exit codes, endpoints, files."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from bridge import __version__
from bridge.cli.program import EXIT_CODES, parser
from bridge.jobs.resolve.ladder import RUNGS
from bridge.settings import load_settings, settings_table
from bridge.sockets.server import api
from bridge.sockets.server.node import Node

ROOT = Path(__file__).parents[1]
PAGES = {
    page.name: page.read_text(encoding="utf-8")
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
}
ALL = "\n".join(PAGES.values())
CODE = re.findall(r"^```(\w+)\n(.*?)^```", ALL, re.MULTILINE | re.DOTALL)
ENV = "PUSHER_APP_ID=1\nPUSHER_APP_KEY=key\nPUSHER_APP_SECRET=secret\nBROADCAST_CONNECTION=pusher\n"


def commands() -> dict[str, argparse.ArgumentParser]:
    [subparsers] = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(subparsers.choices)


def test_the_table_of_settings_is_the_generated_one() -> None:
    assert settings_table() in PAGES["settings.md"], (
        "paste: python -c 'from bridge.settings import *; print(settings_table())'"
    )


def test_every_command_stands_in_its_table_with_every_flag() -> None:
    rows = {
        name: re.findall(rf"^\| `bridge {name}\b.*$", PAGES["commands.md"], re.MULTILINE)
        for name in commands()
    }
    for name, command in commands().items():
        [row] = rows[name]
        if "options of `bridge serve`" in row:
            row += rows["serve"][0]
        for action in command._actions:
            for flag in action.option_strings:
                if flag not in ("-h", "--help"):
                    assert flag in row, f"{flag} of bridge {name} is missing"


def test_no_command_is_promised_that_is_not_there() -> None:
    named = {command for command in re.findall(r"\bbridge ([a-z]+) --", ALL)}
    assert named <= set(commands())


def test_every_exit_code_has_its_row() -> None:
    codes = {0, 1, 2, *(code for _, code in EXIT_CODES)}
    rows = re.findall(r"^\| (\d+) \|", PAGES["commands.md"], re.MULTILINE)
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


def test_every_path_of_this_project_exists() -> None:
    tops = "bridge|docker|docs|systemd|tests|fixtures"
    named = set(re.findall(rf"(?<![\w/.-])(?:{tops})/[\w./-]*[\w]", ALL))
    assert {"docker/supervisor.conf", "systemd/bridge.service", "bridge/broadcast.py"} <= named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make (\w+)", ALL, re.MULTILINE)) <= targets


@pytest.mark.parametrize("toml", [code for language, code in CODE if language == "toml"])
def test_every_example_of_bridge_toml_is_read(tmp_path: Path, toml: str) -> None:
    (tmp_path / ".env").write_text(ENV, encoding="utf-8")
    (tmp_path / "bridge.toml").write_text(toml, encoding="utf-8")
    settings = load_settings({}, {}, tmp_path, tmp_path / "bridge.toml")
    assert (
        settings.events
        or settings.own_apps
        or settings.apps_table
        or settings.laravel.config.get("queue.default") == "redis"
    )


def test_every_command_line_in_an_example_is_understood() -> None:
    lines = [line for language, code in CODE if language == "sh" for line in code.splitlines()]
    ours = [re.split(r"[<#]", line)[0] for line in lines if re.match(r"\S*bridge\s", line)]
    assert len(ours) >= 3
    for line in ours:
        parser().parse_args(shlex.split(line)[1:])


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.findall(r"^## (\S+)", changelog, re.MULTILINE)[0]
    assert newest == __version__
