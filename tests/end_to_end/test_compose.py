"""docker/compose.yaml and the Dockerfile hang together: what one names, the other or the project has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from bridge.settings.load import load_settings
from tests.end_to_end.laravel import ROOT

# As the Compose specification has them; `services` of other kinds would need more.
SERVICE = {
    "build": dict, "image": str, "environment": dict, "ports": list, "volumes": list, "depends_on": dict,
    "user": str, "restart": str, "stop_grace_period": str, "read_only": bool, "tmpfs": list, "cap_drop": list,
    "security_opt": list, "ulimits": dict, "command": list, "healthcheck": dict, "init": bool,
}  # fmt: skip
HEALTH = {"test": list, "interval": str, "retries": int}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    return found


def test_every_key_is_of_the_specification_and_of_its_kind() -> None:
    document = compose()
    assert set(document) == {"services", "volumes"}
    for name, service in document["services"].items():
        assert ("build" in service) != ("image" in service), name
        for key, value in service.items():
            assert isinstance(value, SERVICE[key]), (name, key)
        for key, value in service.get("healthcheck", {}).items():
            assert isinstance(value, HEALTH[key]), (name, key)
        for port in service.get("ports", ()):
            assert re.fullmatch(r"([\d.]+:)?\d+:\d+", port), port


def test_what_is_named_is_there() -> None:
    document = compose()
    services = document["services"]
    for name, service in services.items():
        for other, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] in CONDITIONS
            assert "healthcheck" in services[other], f"{name} waits for the health of {other}"
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in document["volumes"] or source.startswith(("$", ".", "/")), volume
    build = services["bridge"]["build"]
    assert (ROOT / "docker" / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    hosts = {services["bridge"]["environment"][name] for name in ("DB_HOST", "REDIS_HOST")}
    assert hosts <= services.keys()
    stages = (ROOT / "docker/Dockerfile").read_text()
    assert f" AS {build['target']}\n" in stages
    assert "BRIDGE_STATE_PATH=/state" in stages
    assert "state:/state" in services["bridge"]["volumes"]
    assert [name for name in document["volumes"] if not mounted(document, name)] == []


def mounted(document: dict[str, Any], volume: str) -> bool:
    services = document["services"].values()
    return any(one.split(":")[0] == volume for service in services for one in service.get("volumes", ()))


def test_whatever_stops_bridge_waits_until_it_has_ended(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BRIDGE_PROCESSES=2\n")
    longest = load_settings({}, {}, tmp_path).longest_stop
    found = [compose()["services"]["bridge"]["stop_grace_period"].removesuffix("s")]
    for name in ("docker/supervisor.conf", "systemd/bridge.service", "systemd/bridge-broadcasts.service"):
        text = (ROOT / name).read_text()
        found += re.findall(r"^(?:stopwaitsecs|TimeoutStopSec)=(\d+)$", text, re.MULTILINE)
    found += re.findall(r"--stop-timeout (\d+)", (ROOT / "docs/production.md").read_text())
    assert len(found) >= 5
    assert all(int(seconds) > longest for seconds in found)


def test_the_image_gets_all_that_the_package_is_built_from() -> None:
    lines = (ROOT / "docker/Dockerfile").read_text().splitlines()
    copies = [line.split() for line in lines if line.startswith("COPY ") and "--from" not in line]
    copied = {part for words in copies for part in words[1:-1]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"pyproject.toml", "bridge", project["readme"], *project["license-files"]} <= copied
    ignored = (ROOT / "docker/Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    for part in copied:
        assert f"!{part}" in ignored, part
        assert (ROOT / part).exists()
    assert "USER 10001" in lines
    stages = {line.split()[-1] for line in lines if line.startswith("FROM ")}
    assert {"build", "runtime", "php", "plain"} == stages
