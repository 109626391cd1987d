"""`make screenshots`: docs/images, taken of `bridge demo` in Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BROWSER = ROOT / "fixtures/browser"


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("make screenshots: no Chromium is installed")
    images = ROOT / "docs/images"
    images.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "bridge", "demo", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        try:
            output = iter(demo.stdout or ())
            address = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+\S*", line) for line in output)))
            script = ["node", "screenshots.mjs", address[0], chromium, str(images)]
            subprocess.run(script, cwd=BROWSER, check=True, timeout=300)
        finally:
            demo.terminate()


if __name__ == "__main__":
    main()
