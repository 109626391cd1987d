"""schemathesis against a server that listens: no 5xx, no answer and no content type that is not documented,
nothing refused that the document allows, nothing taken that it forbids.

SCHEMATHESIS_EXAMPLES=1000 makes a longer run, with a seed of its own, of what CI does in some ten seconds.
"""

import asyncio
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sockets.server.running import APP, running

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.timeout(0 if EXAMPLES else 900)
async def test_what_the_document_says_is_what_is_served(tmp_path: Path) -> None:
    patient = replace(APP, activity_timeout=3_600, ping_interval=3_600)  # the client answers no ping
    async with running(patient) as server, server.client("presence-room", "news", "cache-prices"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml"),
            *(
                "run",
                f"http://127.0.0.1:{server.port}/openapi.json",
                "--phases=coverage,fuzzing",
                "--no-color",
            ),
            *(
                ("--max-examples", EXAMPLES)
                if EXAMPLES
                else ("--max-examples=10", "--generation-deterministic")
            ),
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(HERE.parents[2]),
                "SCHEMATHESIS_HOOKS": "tests.sockets.server.schemathesis_signing",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        report = output.decode()
        print(report)
        assert process.returncode == 0, report
        generated = re.search(r"([\d,]+) generated", report)
        assert generated, report
        assert int(generated[1].replace(",", "")) > 200
        assert server.node.connections == 1
