"""PHP's own functions and constants: pure ones only. Each function is one row of a table in its file.

strings, encodings (digests, base64, URLs, HTML), multibyte, formats (sprintf), numbers, types, arrays,
sorting, json, regex, objects, urls. Left out: what reads a clock, a file, the environment, randomness or a
locale.
"""

from __future__ import annotations

from bridge.phpeval.php.functions import (
    arrays,
    encodings,
    formats,
    json,
    multibyte,
    numbers,
    objects,
    regex,
    sorting,
    strings,
    types,
    urls,
)
from bridge.phpeval.php.functions.constants import CONSTANTS
from bridge.phpeval.php.runtime.interpreter import Function, ReferenceFunction

__all__ = ["CONSTANTS", "FUNCTIONS"]

FUNCTIONS: dict[str, Function | ReferenceFunction] = {
    **strings.FUNCTIONS,
    **encodings.FUNCTIONS,
    **multibyte.FUNCTIONS,
    **formats.FUNCTIONS,
    **numbers.FUNCTIONS,
    **types.FUNCTIONS,
    **arrays.FUNCTIONS,
    **sorting.FUNCTIONS,
    **json.FUNCTIONS,
    **regex.FUNCTIONS,
    **objects.FUNCTIONS,
    **urls.FUNCTIONS,
}
