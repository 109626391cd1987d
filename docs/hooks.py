"""mkdocs: the Markdown files of the root become pages too, and each file's links hold in both places.

Links are written as they hold in the checkout (`../SUPPORTED.md` in docs/, `docs/http.md` in the root). Files
of docker/ and systemd/ are part of the site, as they are. Any other link to what is no page keeps its text
only: the site is not the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("docker", "systemd")
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
IMAGE = re.compile(r"!\[([^\]]*)\]\(docs/([^)\s]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The nav without pages that are not there (yet), and with those that it does not name at its end."""
    there = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    there |= {page.name for page in ROOT.glob("*.md")}
    named: set[str] = set()

    def kept(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {name: kept(below) for name, below in entry.items()}
        if isinstance(entry, list):
            return [kept(page) for page in entry if not isinstance(page, str) or page in there]
        named.add(entry)
        return entry

    nav = kept(config.nav or [])
    if more := sorted(there - named):
        nav.append({"More": more})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for page in sorted(ROOT.glob("*.md")):
        files.append(File.generated(config, page.name, content=page.read_text(encoding="utf-8")))
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file():
                name = path.relative_to(ROOT).as_posix()
                files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, files: Files, **_: Any) -> str:
    origin = page.file.src_uri if (ROOT / page.file.src_uri).exists() else f"docs/{page.file.src_uri}"

    def linked(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        here = path.removeprefix("docs/")
        if files.get_file_from_path(here) is None and (ROOT / path).exists():
            return text
        return f"[{text}]({posixpath.relpath(here, posixpath.dirname(page.file.src_uri) or '.')}{anchor})"

    return LINK.sub(linked, IMAGE.sub(r"![\1](\2)", markdown))
