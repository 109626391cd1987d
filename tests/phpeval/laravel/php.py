"""Real PHP with Debian's Laravel, kept running: one question per line, one answer per line."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_LOOP = r"""
error_reporting(E_ERROR);
require '/usr/share/php/Illuminate/%s/autoload.php';
$answer = function ($question) { %s };
while (($line = fgets(STDIN)) !== false) {
    try {
        $value = $answer(json_decode($line, true));
        echo json_encode(['ok' => $value], JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION), "\n";
    } catch (\Throwable $e) {
        echo json_encode(['error' => get_class($e)]), "\n";
    }
}
"""


class Php:
    """Asks the PHP body it was started with; `$question` is what `ask` gets, as PHP reads its JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, question: object) -> dict[str, object]:
        """`{"ok": value}` or `{"error": class}`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "PHP ended"
        decoded: dict[str, object] = json.loads(answer)
        return decoded


@contextmanager
def php(body: str, *, component: str = "Support") -> Iterator[Php]:
    """A PHP process that answers by running `body`, with the named Illuminate component loaded."""
    if shutil.which("php") is None:
        pytest.fail("php is missing: apt-get install php-cli php-laravel-framework")
    command = ["php", "-r", _LOOP % (component, body)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            yield Php(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=60)
