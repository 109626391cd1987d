"""Float columns of PostgreSQL as text: PHP's version decides what they are. Imported with the first one."""

from __future__ import annotations

from psycopg.abc import Buffer
from psycopg.adapt import Loader

from bridge.phpeval.laravel.eloquent.connection import FLOAT_COLUMN
from bridge.phpeval.php.runtime.values import CustomSerialized


class FloatLoader(Loader):
    def load(self, data: Buffer) -> CustomSerialized:
        return CustomSerialized(FLOAT_COLUMN, bytes(data))
