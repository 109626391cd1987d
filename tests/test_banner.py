"""What `bridge serve` tells at its start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge import __version__
from tests.monitoring.dashboard.serving import serving, until


def told(log: Path) -> list[str]:
    """The lines of the start, without their time; a thread writes them, so they may come a moment later."""
    until("the start is told to its end", lambda: re.search(r" info (the )?dashboard ", log.read_text()))
    lines = [line for line in log.read_text().splitlines() if not line.startswith("listening on ")]
    said = [line.split(" ", 2)[2] for line in lines]
    return [line for line in said if "are left in the queue" not in line]  # it may come at any time


def test_the_start_names_app_files_queue_apps_php_and_dashboard(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        lines = told(served.log)
        app = served.app.path
    first = rf'info bridge {__version__} app="[^"]+" folder="{app}" laravel="12\.67" environment="\w+"'
    assert re.fullmatch(first, lines[0]), lines[0]
    assert lines[1] == f'info configuration is read files="{app}/bridge.toml, {app}/.env"'
    queue = 'info queue connection="database" driver="database" store="sqlite" queues="default, broadcasts"'
    assert lines[2].startswith(f"{queue} other_jobs=")
    assert lines[3] == 'info apps ids="demo"'
    assert lines[4] == 'info PHP is not used why="the app has no bootstrap/app.php"'
    assert lines[5] == f'info dashboard url="{served.address}/laravel-websockets" opened_by="password"'
    assert not [line for line in lines if line.startswith("warning")]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"dashboard_password": "short"},
            r'warning dashboard_password has 5 characters.* do="take a new',
        ),
        ({"metrics_token": "changeme"}, r"warning metrics_token is a sample value"),
        (
            {"app_config": '{"broadcasting.default": "log"}'},
            r"warning the default broadcast connection is log: events go nowhere",
        ),
        (
            {"app_config": '{"broadcasting.default": "log"}', "dashboard_password": ""},
            r'info the dashboard is closed do="set BRIDGE_DASHBOARD_PASSWORD"',
        ),
        ({"dashboard_password": ""}, r'info dashboard url="\S+" opened_by="links of the app only"'),
    ],
)
def test_what_is_likely_to_be_a_mistake_is_a_warning(
    tmp_path: Path, settings: dict[str, str], line: str
) -> None:
    with serving(tmp_path, **settings) as served:
        until("it is told", lambda: [one for one in told(served.log) if re.match(line, one)])
