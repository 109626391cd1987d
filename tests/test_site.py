"""docs/ builds as a site, and every link and anchor in it leads somewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("*.md", "mkdocs.yml", "docs")


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_site_is_built_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    built = build(ROOT, tmp_path)
    assert built.returncode == 0, built.stderr
    for page in [*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")]:
        folder = "" if page.name == "README.md" else page.stem
        assert (tmp_path / folder / "index.html").is_file(), page


@pytest.mark.parametrize(
    "link", ["[x](missing.md)", "[x](settings.md#missing)", "[x](../docker/missing.conf)"]
)
def test_a_link_that_leads_nowhere_fails_it(tmp_path: Path, link: str) -> None:
    for pattern in PAGES:
        for found in ROOT.glob(pattern):
            (shutil.copytree if found.is_dir() else shutil.copy)(found, tmp_path / found.name)
    for folder in ("docker", "systemd", "fixtures", "tests", "bridge", "LICENSE"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "docs" / "wrong.md").write_text(f"# Wrong\n\n{link}\n", encoding="utf-8")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode != 0
    assert "missing" in built.stderr
