from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.phpeval.laravel.eloquent.app import App, Case, app


@pytest.fixture(scope="session")
def shared_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("models") / "app") as made:
        yield made


@pytest.fixture
def case(shared_app: App) -> Case:
    return Case(shared_app)
