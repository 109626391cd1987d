"""A store of each kind, the app on it, bridge beside it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.bridge import Bridge, bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.stores import STORES, Store, StoreName, open_store


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The test runs once on each store."""
    name: StoreName = request.param
    folder = tmp_path / f"store-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    with open_store(name, folder, request.getfixturevalue) as store:
        yield store


@pytest.fixture
def app(store: Store, tmp_path: Path) -> Laravel:
    return Laravel.create(tmp_path / "app", store.settings)


@pytest.fixture
def bridge(app: Laravel) -> Iterator[Bridge]:
    with bridge_serve(app) as bridge:
        yield bridge


@pytest.fixture
def tag() -> str:
    """A word that no other test's events bear."""
    return f"tag-{uuid.uuid4().hex[:12]}"
