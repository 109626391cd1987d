"""in_transaction: how monitoring reads and writes in the app's database, and what it says where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bridge.errors import ServiceUnavailable

T = TypeVar("T")


def in_transaction(
    engine: sa.Engine, work: Callable[[sa.Connection], T], *, problem: str, remedy: str = "see DB_* in .env"
) -> T:
    """What `work` gives. Raises ServiceUnavailable with both texts, and nothing of the statement."""
    try:
        with engine.begin() as connection:
            return work(connection)
    except SQLAlchemyError as error:
        reason = type(getattr(error, "orig", None) or error).__name__
        raise ServiceUnavailable(f"{problem} ({reason}): {remedy}") from error
