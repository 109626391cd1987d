"""Small files in a folder where others may write, too."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from bridge import state_file


def test_a_file_of_another_user_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:  # everybody may write there
        path = Path(file.name)
        if os.geteuid() == 0:
            os.chown(path, 4711, -1)
        owner = path.stat().st_uid
        assert state_file.read_owned(path, 100) == (b"", owner)
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        with pytest.raises(PermissionError):
            state_file.read(path, 100)
        with pytest.raises(PermissionError), state_file.locked(path):
            pass


def test_only_its_owner_can_hold_a_lock(tmp_path: Path) -> None:
    made, older = tmp_path / "made.lock", tmp_path / "older.lock"
    older.touch(0o666)
    for path in (made, older):
        with state_file.locked(path):
            assert path.stat().st_mode & 0o777 == 0o600


def test_a_lock_follows_no_link_and_waits_for_no_pipe(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target", tmp_path / "link.lock", tmp_path / "pipe.lock"
    link.symlink_to(target)
    os.mkfifo(pipe)
    for path in (link, pipe):
        with pytest.raises(OSError), state_file.locked(path):  # noqa: PT011
            pass
    assert not target.exists()
