from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.laravel.application import LaravelApp, load
from tests.infrastructure.servers import Certificates

MakeApp = Callable[..., LaravelApp]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.made_in(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def app(tmp_path: Path) -> MakeApp:
    """An app whose config/database.php is `database`, and whose queue is the connection `driver`."""

    def make(
        database: str, driver: str = "redis", version: str = "12.30", queue: str = "default"
    ) -> LaravelApp:
        folder = tmp_path / "app"
        (folder / "config").mkdir(parents=True, exist_ok=True)
        (folder / "config/database.php").write_text(f"<?php return {database};")
        (folder / "config/queue.php").write_text(
            "<?php return ['default' => 'q', 'connections' => ['q' => ['driver' => '" + driver + "',"
            f" 'connection' => 'default', 'table' => 'jobs', 'queue' => '{queue}', 'retry_after' => 90]]];"
        )
        return load(folder, {}, version)

    return make
