from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.phpeval.laravel.eloquent.app import App, Case, app


@pytest.fixture(scope="session")
def shared_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app(tmp_path_factory.mktemp("models") / "app") as made:
        made.serve_cases()
        yield made


@pytest.fixture
def case(shared_app: App) -> Iterator[Case]:
    made = Case(shared_app)
    yield made
    made.remove()  # what one model listens to may concern those of the next
