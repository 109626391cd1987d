"""ModelView: a model object with what its class and settings say."""

from __future__ import annotations

from bridge.phpeval.laravel.eloquent import properties
from bridge.phpeval.laravel.eloquent.model_facts import ModelFacts
from bridge.phpeval.laravel.eloquent.model_settings import (
    ModelSettings,
)
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject


class ModelView:
    """A model object with what its class and its settings say."""

    __slots__ = ("_default_connection", "attributes", "facts", "model", "setup")

    def __init__(self, model: PhpObject, setup: ModelSettings, default_connection: str) -> None:
        self.model: PhpObject = model
        self.setup: ModelSettings = setup
        self.facts: ModelFacts = setup.facts
        self.attributes: PhpArray = properties.array(model, "attributes")
        self._default_connection = default_connection

    @property
    def connection(self) -> str:
        """Laravel's name of the connection it was read from."""
        return properties.text(self.model, "connection") or self._default_connection

    @property
    def foreign_key(self) -> str | None:
        """The column by which other tables point here, unless they name another; a pivot has none."""
        return None if self.setup.is_pivot else f"{self.setup.base_name}_{self.setup.key_name}"
