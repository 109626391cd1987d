"""The document at /openapi.json: all of the API, nothing else, and true to what is served."""

from typing import Any

import pytest

from bridge.sockets.pusher.app import App
from bridge.sockets.server import api, openapi
from bridge.sockets.server.node import Node
from bridge.sockets.server.signed_endpoint import REFUSAL_MEANINGS
from tests.sockets.server.running import running

NODE = Node([App(id="app-id", key="app-key", secret="app-secret")])


def test_every_route_is_described_with_its_method_and_nothing_else_is() -> None:
    served = {
        (route.path.replace(":path}", "}"), method.lower())
        for route in api.routes(NODE, lambda: {})
        for method in route.methods or ()
        if method != "HEAD"
    }
    described = {(path, method) for path, operations in paths().items() for method in operations}
    assert served == described


def test_every_operation_has_a_name_of_its_own_a_summary_and_the_refusals_of_signed_ones() -> None:
    operations = [operation for path in paths().values() for operation in path.values()]
    assert all(operation["summary"] for operation in operations)
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        if "security" in operation:
            assert {str(status) for status in REFUSAL_MEANINGS} < operation["responses"].keys()


@pytest.mark.anyio
async def test_it_is_served_to_anybody() -> None:
    async with running() as server:
        answer = await server.request("GET", "/openapi.json", sign=False)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        document = answer.json()
        assert document["openapi"] == "3.1.0"
        assert document["paths"] == paths()


def paths() -> dict[str, Any]:
    document = openapi.document(api.ENDPOINTS, api.pages(NODE, lambda: {}))
    found: dict[str, Any] = document["paths"]
    return found
