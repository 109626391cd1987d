"""Which names of time zones PHP and Python read as the same zone.

Python opens any file of the time zone database by its name. PHP has an index: its own, or in packages of
distributions the machine's, in which what is only kept for old times may be missing. Source: ext/date/lib,
php_date.c; names compared with PHP 8.2 and 8.4 of Debian.
"""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from bridge.errors import Refused

# Files of the database that are the machine's own zone, or none.
_NO_ZONES = frozenset({"Factory", "localtime", "posixrules"})
# In `backward` of the database, which Debian has as a package of its own; the last four came after PHP 8.0.
_NOT_EVERYWHERE = frozenset({
    "Africa/Asmera", "America/Argentina/ComodRivadavia", "America/Buenos_Aires", "America/Catamarca",
    "America/Cordoba", "America/Fort_Wayne", "America/Godthab", "America/Indianapolis", "America/Jujuy",
    "America/Knox_IN", "America/Louisville", "America/Mendoza", "America/Rosario", "Antarctica/South_Pole",
    "Asia/Ashkhabad", "Asia/Calcutta", "Asia/Choibalsan", "Asia/Chungking", "Asia/Dacca", "Asia/Katmandu",
    "Asia/Macao", "Asia/Rangoon", "Asia/Saigon", "Asia/Thimbu", "Asia/Ujung_Pandang", "Asia/Ulan_Bator",
    "Atlantic/Faeroe", "Australia/ACT", "Australia/LHI", "Australia/NSW", "Australia/North",
    "Australia/Queensland", "Australia/South", "Australia/Tasmania", "Australia/Victoria", "Australia/West",
    "Brazil/Acre", "Brazil/DeNoronha", "Brazil/East", "Brazil/West", "Canada/Atlantic", "Canada/Central",
    "Canada/Eastern", "Canada/Mountain", "Canada/Newfoundland", "Canada/Pacific", "Canada/Saskatchewan",
    "Canada/Yukon", "Chile/Continental", "Chile/EasterIsland", "Europe/Kiev", "Europe/Uzhgorod",
    "Europe/Zaporozhye", "Mexico/BajaNorte", "Mexico/BajaSur", "Mexico/General", "Pacific/Enderbury",
    "Pacific/Ponape", "Pacific/Truk", "US/Alaska", "US/Aleutian", "US/Arizona", "US/Central",
    "US/East-Indiana", "US/Eastern", "US/Hawaii", "US/Indiana-Starke", "US/Michigan", "US/Mountain",
    "US/Pacific", "US/Samoa", "America/Ciudad_Juarez", "America/Coyhaique", "Europe/Kyiv", "Pacific/Kanton",
})  # fmt: skip


def zone_info(name: str) -> ZoneInfo:
    """The zone, in the capitals of the database; Refused for other names."""
    if name not in _names():
        raise Refused(f"the time zone {name} is not known here")
    return ZoneInfo(name)


def takes(name: str, known: Set[str] | None) -> bool:
    """Whether PHP certainly takes that name from a text; `known` are those that it lists itself."""
    return name not in _NOT_EVERYWHERE if known is None else name in known


@lru_cache(maxsize=1)
def _names() -> Set[str]:
    return available_timezones() - _NO_ZONES
