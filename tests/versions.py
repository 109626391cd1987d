"""What `php` of this run is, and which Laravel it has: tests ask these instead of naming them."""

from __future__ import annotations

import functools
import subprocess

from bridge.phpeval.laravel.version import Version, parse_version

RECORDED = {8: "8.83", 9: "9.52", 10: "10.50", 11: "11.56", 12: "12.67", 13: "13.31"}
_ASK = (
    "require 'Illuminate/autoload.php'; echo PHP_VERSION, ' ', Illuminate\\Foundation\\Application::VERSION;"
)


@functools.cache
def _asked() -> tuple[str, str]:
    told = subprocess.run(["php", "-r", _ASK], check=True, capture_output=True, text=True).stdout
    php, laravel = told.split()
    return php, laravel


def php_version() -> str:
    """`8.2.36`."""
    return _asked()[0]


def php_release() -> tuple[int, int]:
    """PHP's major and minor version, `(8, 2)`."""
    major, minor, *_ = php_version().split(".")
    return int(major), int(minor)


def laravel_version() -> str:
    """`8.83.26`."""
    return _asked()[1]


def release() -> Version:
    """The installed Laravel's, `(8, 83)`."""
    return parse_version(laravel_version())


def recorded() -> str:
    """The release of the recorded jobs that is nearest to the installed Laravel."""
    return RECORDED[release()[0]]
