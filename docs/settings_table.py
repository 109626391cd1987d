"""`make docs`: writes the tables of docs/settings.md, from the rows that the program itself uses."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.settings.table import settings_table

PAGE = Path(__file__).with_name("settings.md")
BEGIN, END = "<!-- begin: written by make docs -->\n\n", "\n<!-- end -->\n"

if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    written = re.sub(
        re.escape(BEGIN) + ".*" + re.escape(END),
        lambda _: BEGIN + settings_table() + END,
        text,
        flags=re.DOTALL,
    )
    PAGE.write_text(written, encoding="utf-8")
