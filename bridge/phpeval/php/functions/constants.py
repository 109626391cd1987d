"""PHP's constants that are the same in every release; its version and its platform are not known.

Those of PHP's own classes stand here too, as `Class::NAME`.
"""

from __future__ import annotations

import math

from bridge.phpeval.php.runtime.values import Value

CONSTANTS: dict[str, Value] = {
    "PHP_EOL": b"\n",
    "PHP_INT_MAX": (1 << 63) - 1,
    "PHP_INT_MIN": -(1 << 63),
    "PHP_INT_SIZE": 8,
    "PHP_FLOAT_EPSILON": 2.220446049250313e-16,
    "PHP_FLOAT_MAX": 1.7976931348623157e308,
    "PHP_FLOAT_MIN": 2.2250738585072014e-308,
    "PHP_FLOAT_DIG": 15,
    "NAN": math.nan,
    "INF": math.inf,
    "M_PI": math.pi,
    "M_E": math.e,
    "M_SQRT2": math.sqrt(2),
    "PHP_ROUND_HALF_UP": 1,
    "PHP_ROUND_HALF_DOWN": 2,
    "PHP_ROUND_HALF_EVEN": 3,
    "PHP_ROUND_HALF_ODD": 4,
    "STR_PAD_LEFT": 0,
    "STR_PAD_RIGHT": 1,
    "STR_PAD_BOTH": 2,
    "ENT_COMPAT": 2,
    "ENT_QUOTES": 3,
    "ENT_NOQUOTES": 0,
    "ENT_IGNORE": 4,
    "ENT_SUBSTITUTE": 8,
    "ENT_HTML401": 0,
    "ENT_HTML5": 48,
    "MB_CASE_UPPER": 0,
    "MB_CASE_LOWER": 1,
    "MB_CASE_TITLE": 2,
    "COUNT_NORMAL": 0,
    "COUNT_RECURSIVE": 1,
    "CASE_LOWER": 0,
    "CASE_UPPER": 1,
    "ARRAY_FILTER_USE_KEY": 2,
    "ARRAY_FILTER_USE_BOTH": 1,
    "SORT_REGULAR": 0,
    "SORT_NUMERIC": 1,
    "SORT_STRING": 2,
    "SORT_DESC": 3,
    "SORT_ASC": 4,
    "SORT_LOCALE_STRING": 5,
    "SORT_NATURAL": 6,
    "SORT_FLAG_CASE": 8,
    "PREG_PATTERN_ORDER": 1,
    "PREG_SET_ORDER": 2,
    "PREG_OFFSET_CAPTURE": 256,
    "PREG_UNMATCHED_AS_NULL": 512,
    "PREG_SPLIT_NO_EMPTY": 1,
    "PREG_SPLIT_DELIM_CAPTURE": 2,
    "PREG_SPLIT_OFFSET_CAPTURE": 4,
    "PHP_URL_SCHEME": 0,
    "PHP_URL_HOST": 1,
    "PHP_URL_PORT": 2,
    "PHP_URL_USER": 3,
    "PHP_URL_PASS": 4,
    "PHP_URL_PATH": 5,
    "PHP_URL_QUERY": 6,
    "PHP_URL_FRAGMENT": 7,
    "PHP_QUERY_RFC1738": 1,
    "PHP_QUERY_RFC3986": 2,
    "JSON_HEX_TAG": 1,
    "JSON_HEX_AMP": 2,
    "JSON_HEX_APOS": 4,
    "JSON_HEX_QUOT": 8,
    "JSON_FORCE_OBJECT": 16,
    "JSON_NUMERIC_CHECK": 32,
    "JSON_UNESCAPED_SLASHES": 64,
    "JSON_PRETTY_PRINT": 128,
    "JSON_UNESCAPED_UNICODE": 256,
    "JSON_PARTIAL_OUTPUT_ON_ERROR": 512,
    "JSON_PRESERVE_ZERO_FRACTION": 1024,
    "JSON_UNESCAPED_LINE_TERMINATORS": 2048,
    "JSON_OBJECT_AS_ARRAY": 1,
    "JSON_BIGINT_AS_STRING": 2,
    "JSON_INVALID_UTF8_IGNORE": 1048576,
    "JSON_INVALID_UTF8_SUBSTITUTE": 2097152,
    "JSON_THROW_ON_ERROR": 4194304,
    "JSON_ERROR_NONE": 0,
}

_DATE_FORMATS = {
    "ATOM": b"Y-m-d\\TH:i:sP",
    "COOKIE": b"l, d-M-Y H:i:s T",
    "RFC822": b"D, d M y H:i:s O",
    "RFC850": b"l, d-M-y H:i:s T",
    "RFC1036": b"D, d M y H:i:s O",
    "RFC1123": b"D, d M Y H:i:s O",
    "RFC7231": b"D, d M Y H:i:s \\G\\M\\T",
    "RFC2822": b"D, d M Y H:i:s O",
    "ISO8601": b"Y-m-d\\TH:i:sO",
    "RFC3339": b"Y-m-d\\TH:i:sP",
    "RFC3339_EXTENDED": b"Y-m-d\\TH:i:s.vP",
    "RSS": b"D, d M Y H:i:s O",
    "W3C": b"Y-m-d\\TH:i:sP",
}
DATE_CONSTANTS: dict[str, Value] = {
    f"{name}::{constant}": value
    for name in ("DateTimeInterface", "DateTime", "DateTimeImmutable")
    for constant, value in _DATE_FORMATS.items()
}
CONSTANTS |= DATE_CONSTANTS | {f"DATE_{constant}": value for constant, value in _DATE_FORMATS.items()}
