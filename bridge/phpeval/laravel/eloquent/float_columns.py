"""Float columns of PostgreSQL as text: PHP's version says what to make of them. Imported where there are some."""

from __future__ import annotations

from psycopg.abc import Buffer
from psycopg.adapt import Loader

from bridge.phpeval.laravel.eloquent.connection import FLOAT_COLUMN
from bridge.phpeval.php.runtime.values import CustomSerialized


class FloatLoader(Loader):
    def load(self, data: Buffer) -> CustomSerialized:
        return CustomSerialized(FLOAT_COLUMN, bytes(data))
