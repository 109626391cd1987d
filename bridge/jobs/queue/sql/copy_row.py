"""A program of its own, which copies one payload within a SQLite file: it has the memory that bridge lacks.

On its standard input JSON: the `file`; the table it comes `from` and its `id` there; the table it goes
`into`, and the other `values` of its new row. The row with the same uuid, if there is one, goes.
`unreserved`: null, or what the copied row shows; it is then reserved with the copy (`at`), so that nobody
else takes it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import time
from pathlib import Path

PATIENCE = 5.0  # seconds until a wait for others' locks is given up
STEP = 0.004  # seconds between two tries to be alone in the file


def copy(
    file: str,
    source: str,
    id: int,
    into: str,
    values: dict[str, str],
    unreserved: dict[str, int | None] | None,
) -> None:
    connection = sqlite3.connect(file, timeout=0, isolation_level=None)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("BEGIN EXCLUSIVE")  # a writer that waits would end Laravel's transactions
            break
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
        time.sleep(STEP)
    if unreserved is not None:
        done = connection.execute(
            f"UPDATE {_quoted(source)} SET reserved_at = ?"  # noqa: S608 - a name
            " WHERE id = ? AND attempts = ? AND reserved_at IS ?",
            (unreserved["at"], id, unreserved["attempts"], unreserved["reserved_at"]),
        )
        if done.rowcount != 1:
            sys.exit("somebody else has taken the job")
    if "uuid" in values:
        connection.execute(f"DELETE FROM {_quoted(into)} WHERE uuid = ?", (values["uuid"],))  # noqa: S608 - a name
    columns = ", ".join(map(_quoted, values))
    done = connection.execute(
        f"INSERT INTO {_quoted(into)} (payload, {columns})"  # noqa: S608 - names
        f" SELECT payload, {', '.join('?' * len(values))} FROM {_quoted(source)} WHERE id = ?",
        (*values.values(), id),
    )
    if done.rowcount != 1:
        sys.exit("the job is gone")
    connection.execute("COMMIT")


def _quoted(name: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # where memory runs out, this process goes and not bridge
        Path("/proc/self/oom_score_adj").write_text("1000")
    given = json.load(sys.stdin)
    copy(given["file"], given["from"], given["id"], given["into"], given["values"], given["unreserved"])
