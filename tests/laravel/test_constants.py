"""Constants of Laravel's and Carbon's classes, which app code uses by name, held against the real classes."""

from __future__ import annotations

import pytest

from bridge.phpeval.laravel.framework_classes import MODEL_CONSTANTS
from bridge.phpeval.laravel.support.carbon import constants
from tests.phpeval.laravel.evaluation import laravel, really
from tests.phpeval.laravel.php import Php

CONSTANTS = {**constants(), **MODEL_CONSTANTS}


@pytest.fixture(scope="module")
def peer():  # type: ignore[no-untyped-def]
    with laravel() as running:
        yield running


def test_they_are_the_real_ones(peer: Php) -> None:
    names = "', '".join(name.replace("\\", "\\\\") for name in CONSTANTS)
    code = f"return array_map('constant', ['{names}']);"
    held = [*CONSTANTS.values()]
    outcome = really(peer, code)
    assert outcome.kind == "value"
    assert [item[1] for _, item in outcome.content[1]] == held  # type: ignore[index]
