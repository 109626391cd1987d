"""Where small files outlive a restart."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from bridge.settings.load import Settings


def state_file(settings: Settings, name: str) -> Path:
    """In `state_path`, the service's own folder, or that of the app."""
    app = settings.laravel.path
    folder = settings.state_path or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if not folder:
        return app / f"storage/framework/bridge-{name}.json"
    given = os.path.abspath(settings.laravel.link)  # the same for each release that a deploy links to
    digest = hashlib.sha256(os.fsencode(given)).hexdigest()[:8]  # of several apps
    return Path(folder) / f"{name}-{digest}.json"
