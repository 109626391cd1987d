"""The house of sockets as the settings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.serve.wiring.sockets import build_cluster
from bridge.settings.load import load_settings


def test_with_a_bus_clients_may_be_away_as_long_as_redis_holds_their_channels(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "QUEUE_CONNECTION=redis\nPUSHER_APP_ID=1\nPUSHER_APP_KEY=key\nPUSHER_APP_SECRET=secret\n"
    )
    toml = tmp_path / "bridge.toml"
    toml.write_text('bus = "default"\nresume_seconds = 121\n')
    with pytest.raises(ConfigurationError, match=r"resume_seconds is 121, and with a bus 120 is the most"):
        build_cluster(load_settings({}, {}, tmp_path))
    toml.write_text('bus = "default"\nresume_seconds = 120\n')
    assert build_cluster(load_settings({}, {}, tmp_path)) is not None
