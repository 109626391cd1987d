"""python -m tests.fuzz TARGET [SECONDS]"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

import atheris

LIMITS = ("-timeout=10", "-rss_limit_mb=1024", "-max_len=8192", "-print_final_stats=1")


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("python -m tests.fuzz TARGET [SECONDS]: the targets are reader and source")
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    with atheris.instrument_imports(include=["bridge.phpeval.php", "bridge.laravel"]):
        target = importlib.import_module(f"tests.fuzz.{sys.argv[1]}")
    folder = Path(tempfile.mkdtemp(prefix="bridge-fuzz-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(target.SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = folder / "words"
    words.write_text(
        "".join('"' + "".join(f"\\x{octet:02x}" for octet in word) + '"\n' for word in target.WORDS)
    )
    print(f"{len(target.SEEDS)} seeds and what is found: {folder}", flush=True)
    flags = [*LIMITS, f"-max_total_time={seconds}", f"-dict={words}", f"-artifact_prefix={folder}/"]
    own = {"custom_mutator": target.mutate} if hasattr(target, "mutate") else {}
    atheris.Setup([sys.argv[0], *flags, str(corpus)], target.one, **own)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
