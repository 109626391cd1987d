"""Where state is kept over a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.settings.load import load_settings
from bridge.settings.state import state_file


@pytest.mark.parametrize("state_path", [True, False])
def test_a_deploy_that_moves_the_link_finds_the_state_of_before(tmp_path: Path, state_path: bool) -> None:
    shared, link = tmp_path / "shared", tmp_path / "current"
    (shared / "framework").mkdir(parents=True)
    found = set()
    for release in ("1", "2"):
        folder = tmp_path / release
        folder.mkdir()
        (folder / ".env").touch()
        (folder / "storage").symlink_to(shared)
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
        environ = {"BRIDGE_STATE_PATH": str(tmp_path)} if state_path else {}
        found.add(state_file(load_settings({}, environ, link), "serving-6001").resolve())
    assert len(found) == 1


def test_two_apps_share_a_folder_and_no_file(tmp_path: Path) -> None:
    environ = {"BRIDGE_STATE_PATH": str(tmp_path)}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".env").touch()
    one, two = (state_file(load_settings({}, environ, tmp_path / name), "x") for name in ("one", "two"))
    assert one.parent == two.parent == tmp_path
    assert one != two
