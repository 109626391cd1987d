"""Where to listen is known early, and is what the settings say of it later."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.settings.listening import ListenAddress, listen_address
from bridge.settings.load import load_settings

ENV = "APP_KEY=base64:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"

CASES = [
    ({}, {}, "", ""),
    ({"port": "7000"}, {"BRIDGE_PORT": "7001"}, "port = 7002", "BRIDGE_PORT=7003"),
    ({}, {"BRIDGE_PORT": "7001"}, "port = 7002", "BRIDGE_PORT=7003"),
    ({}, {}, 'port = 7002\nhost = "::1"', "BRIDGE_PORT=7003\nBRIDGE_HOST=127.0.0.1"),
    ({}, {}, "", "BRIDGE_PORT=7003\nBRIDGE_HOST=127.0.0.1"),
    ({}, {"LARAVEL_WEBSOCKETS_PORT": "7005"}, "", "LARAVEL_WEBSOCKETS_PORT=7004"),
    ({}, {}, "", 'LARAVEL_WEBSOCKETS_PORT="7004" # ours\nBRIDGE_LISTEN_FROM=/run/x'),
    ({}, {"BRIDGE_PORT": ""}, 'listen_from = "/run/y"', "A=7006\nBRIDGE_PORT=${A}"),
    ({"host": "localhost"}, {}, "", "LARAVEL_WEBSOCKETS_PORT=null"),
    ({"port": 0}, {}, "", ""),
]  # fmt: skip


def app(folder: Path, toml: str, env: str) -> Path:
    (folder / ".env").write_text(ENV + env)
    (folder / "bridge.toml").write_text(toml)
    return folder


@pytest.mark.parametrize(("flags", "environ", "toml", "env"), CASES)
def test_it_is_what_the_settings_say(
    tmp_path: Path, flags: dict[str, object], environ: dict[str, str], toml: str, env: str
) -> None:
    folder = app(tmp_path, toml, env)
    settings = load_settings(flags, environ, folder)
    found = listen_address(flags, environ, folder)
    assert found == ListenAddress(settings.host, settings.port, settings.listen_from)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config/websockets.php", "<?php return ['dashboard' => ['port' => 7100]];"),
        ("config/websockets/dashboard.php", "<?php return ['port' => 7100];"),
        ("bootstrap/cache/config.php", "<?php return ['websockets' => ['dashboard' => ['port' => 7100]]];"),
        ("bridge.toml", '[app_config]\n"websockets.dashboard.port" = 7100'),
        ("bridge.toml", 'host = "${HOST}"'),
    ],
)
def test_what_may_stand_in_the_configuration_is_not_known_early(tmp_path: Path, file: str, text: str) -> None:
    folder = app(tmp_path, "", "HOST=127.0.0.1")
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(text)
    assert listen_address({}, {}, folder) is None
    if "HOST" not in text:  # what comes before it is
        assert listen_address({"port": "7000"}, {}, folder) == ListenAddress("0.0.0.0", 7000, None)  # noqa: S104


@pytest.mark.parametrize(("toml", "env"), [("port = 'x'", ""), ("port =", ""), ("", "BRIDGE_PORT=99999")])
def test_what_is_wrong_is_wrong_early_too(tmp_path: Path, toml: str, env: str) -> None:
    folder = app(tmp_path, toml, env)
    for read in (listen_address, load_settings):
        with pytest.raises(ConfigurationError):
            read({}, {}, folder)


def test_nothing_heavy_is_imported_before_the_port_listens(tmp_path: Path) -> None:
    """The port listens within 0.3 s, and `bridge --version` answers within 0.15, because of this."""
    heavy = ("sqlalchemy", "starlette", "httpx", "redis", "asyncio", "websockets", "tree_sitter", "psycopg")
    code = (
        "import sys; sys.argv = ['bridge', 'serve', '--app', sys.argv[1], '--port', '0']\n"
        "from bridge.cli import program\n"
        "given = program.parser('serve').parse_args(sys.argv[1:])\n"
        "from bridge.cli.serve import listen_early\n"
        "listen_early(given).close()\n"
        f"print([name for name in {heavy} if name in sys.modules], len(sys.modules) < 250)"
    )
    folder = app(tmp_path, "", "")
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[] True\n"
