"""English plurals and the cases of names, as Laravel derives table names, keys and morph names from classes.

All take and give PHP strings. The rules are Doctrine Inflector's (2.0.3 to 2.0.10, which Laravel's Pluralizer
asks), as data: a word is kept, or swapped, or changed by the first pattern that fits. Where those releases
disagree, `Refused`. One row a rule.

Source: Illuminate\\Support\\{Str,Pluralizer} 8.83 to 13.26; Doctrine\\Inflector\\Rules\\English.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from bridge.errors import Refused


class _Ruleset(NamedTuple):
    kept: re.Pattern[bytes]
    doubtful: re.Pattern[bytes]
    swaps: dict[bytes, bytes]
    changes: tuple[tuple[re.Pattern[bytes], bytes], ...]


def plural(word: bytes, count: int = 2) -> bytes:
    """`Str::plural`: the word as it is for 1 and -1, and when it does not end in a letter or digit."""
    if abs(count) == 1 or word.lower() in _UNCOUNTABLE or not _ends_in_a_letter(word):
        return word
    return _match_case(_inflect(word, _PLURAL), word)


def singular(word: bytes) -> bytes:
    """`Str::singular`."""
    return _match_case(_inflect(word, _SINGULAR), word)


def plural_studly(word: bytes, count: int = 2) -> bytes:
    """`Str::pluralStudly`: the last capitalized word in the plural."""
    text = decode(word)
    start = max((hit.end() for hit in _BEFORE_CAPITAL.finditer(text)), default=0)
    return text[:start].encode() + plural(text[start:].encode(), count)


@lru_cache(maxsize=1024)
def table_name(class_name: str) -> bytes:
    """The table of an Eloquent model that names none: the plural of its short name in snake case."""
    return snake(plural_studly(class_name.rpartition("\\")[2].encode()))


def pivot_table_name(class_name: str) -> bytes:
    """The table of a class that extends Pivot and names none: its short name in snake case, in the singular.

    Source: Eloquent/Relations/Concerns/AsPivot.php getTable."""
    return snake(singular(class_name.rpartition("\\")[2].encode()))


def snake(value: bytes, delimiter: bytes = b"_") -> bytes:
    """`Str::snake`; a capital after any character starts a word, so `HTMLPage` is `h_t_m_l_page`."""
    if _LOWER_ONLY.fullmatch(value):
        return value
    text = _SPACE.sub("", decode(ucwords(value)))
    separator = decode(delimiter)
    return lower(_BEFORE_CAPITAL.sub(lambda hit: hit[1] + separator, text).encode())


def studly(value: bytes) -> bytes:
    """`Str::studly`. Releases split at other blanks than the space differently: refused there."""
    text = decode(value).replace("-", " ").replace("_", " ")
    if _SPACE.search(text.replace(" ", "")):
        raise Refused("Laravel's releases disagree on Str::studly with blanks other than the space")
    return b"".join(ucfirst(word.encode()) for word in text.split(" "))


def camel(value: bytes) -> bytes:
    """`Str::camel`: studly with a small first letter, which is PHP's `lcfirst`, so of ASCII only."""
    text = studly(value)
    return text[:1].lower() + text[1:]


def ucwords(value: bytes) -> bytes:
    """PHP's: ASCII letters after a blank get big."""
    return _WORD_START.sub(lambda hit: hit[0].upper(), value)


def ucfirst(value: bytes) -> bytes:
    """`Str::ucfirst`: the first character, of any script, in upper case (title case in newer releases)."""
    text = decode(value)
    first = text[:1]
    if first.upper() != first.title():
        raise Refused(f"Laravel's releases disagree on the capital of {first}")
    return first.upper().encode() + text[1:].encode()


def lower(value: bytes) -> bytes:
    """`mb_strtolower`. Final sigma and the dotted I depend on the PHP release: refused."""
    text = decode(value)
    if "Σ" in text or "İ" in text:
        raise Refused("PHP releases write this letter in lower case differently")
    return text.lower().encode()


def upper(value: bytes) -> bytes:
    """`mb_strtoupper`."""
    return decode(value).upper().encode()


def decode(value: bytes) -> str:
    """The text of a PHP string that must be UTF-8; what PHP makes of other bytes is refused."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Refused("a string that is not UTF-8 meets a function of Illuminate\\Support\\Str") from None


_LOWER_ONLY = re.compile(rb"[a-z]+")
_WORD_START = re.compile(rb"(?:(?<=[ \t\r\n\f\v])|\A)[a-z]")
_BEFORE_CAPITAL = re.compile(r"([^\n])(?=[A-Z])")
# What \s means to PCRE under PHP's /u.
WHITE = r" \t\n\v\f\r\x85\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACE = re.compile(f"[{WHITE}]+")


def _ends_in_a_letter(word: bytes) -> bool:
    try:
        text = word.decode()
    except UnicodeDecodeError:
        return False
    return re.match(r".*[A-Za-z0-9\x80-\uffff]$", text) is not None


def _match_case(value: bytes, like: bytes) -> bytes:
    for change in (lower, upper, lambda text: text[:1].upper() + text[1:], ucwords):
        if change(like) == like:
            return change(value)
    return value


def _inflect(word: bytes, rules: _Ruleset) -> bytes:
    if not word or rules.kept.match(word):
        return word
    if rules.doubtful.fullmatch(word):
        raise Refused(f"releases of doctrine/inflector disagree on the word {word.decode()}")
    small = word.lower()
    swapped = rules.swaps.get(small, word)
    if small[:1] != word[:1]:
        swapped = swapped[:1].upper() + swapped[1:]
    if swapped != word:
        return swapped
    for pattern, replacement in rules.changes:
        if pattern.search(word):
            return pattern.sub(replacement, word)
    return word


def _kept(words: Iterable[str]) -> re.Pattern[bytes]:
    return re.compile(rf"(?:{'|'.join(words)})$".encode(), re.IGNORECASE)


def _changes(*rows: tuple[str, str]) -> tuple[tuple[re.Pattern[bytes], bytes], ...]:
    return tuple((re.compile(pattern.encode(), re.IGNORECASE), text.encode()) for pattern, text in rows)


# Laravel 8's own list; everything newer and Doctrine keep all of these but the two words at the end by rule.
_UNCOUNTABLE = frozenset(
    b"""
    audio bison cattle chassis compensation coreopsis data deer education emoji equipment evidence
    feedback firmware fish furniture gold hardware information jedi kin knowledge love metadata money
    moose news nutrition offspring plankton pokemon police rain rice series sheep software species swine
    traffic wheat recommended related
""".split()
)

# Words whose plural, and whose singular, changed between Doctrine 2.0.3 and 2.0.10.
_PLURAL_DOUBTFUL = re.compile(rb"blouse|epoch", re.IGNORECASE)
_SINGULAR_DOUBTFUL = re.compile(
    rb"axes|blice|brownies|caves|shorts|sieves|tights|.*regatta|kins|cattles", re.IGNORECASE
)

_KEPT = r"""
    \w+media advice aircraft amoyese art audio baggage bison borghese bream breeches britches buffalo
    butter cantus carp cattle chassis clippers clothing coal cod coitus compensation congoese contretemps
    coreopsis corps cotton data debris deer diabetes djinn education eland elk emoji equipment evidence
    faroese feedback fish flounder flour foochowese food furniture gallows genevese genoese gilbertese
    gold headquarters herpes hijinks homework hottentotese impatience information innings jackanapes
    jeans jedi kin kiplingese knowledge kongoese leather love lucchese luggage mackerel maltese
    management metadata mews money moose mumps music nankingese news nexus niasese nutrition offspring
    oil patience pekingese piedmontese pincers pistoiese plankton pliers pokemon police polish portuguese
    proceedings progress rabies rain research rhinoceros rice salmon sand sarawakese scissors
    sea[-\x20]bass series shavese shears sheep siemens silk sms soap social\x20media spam species staff
    sugar swine talent toothpaste traffic travel trousers trout tuna us vermontese vinegar weather
    wenchowese wheat whiting wildebeest wood wool yengeese
"""
_PLURAL_KEPT = _kept(chain(_KEPT.split(), (r"people", r"trivia", r"\w+ware$", r"media")))
_SINGULAR_KEPT = _kept(
    chain(
        _KEPT.split(),
        (r".*ss",),
        ("clothes", "data", "fascia", "fuchsia", "galleria", "mafia", "militia"),
        ("pants", "petunia", "sepia", "trivia", "utopia"),
    )
)

_SWAPS = b"""
    atlas:atlases axe:axes beef:beefs blouse:blouses brother:brothers cafe:cafes chateau:chateaux
    niveau:niveaux child:children canvas:canvases cookie:cookies corpus:corpuses cow:cows
    criterion:criteria curriculum:curricula demo:demos domino:dominoes echo:echoes foot:feet fungus:fungi
    ganglion:ganglions gas:gases genie:genies genus:genera goose:geese graffito:graffiti
    hippopotamus:hippopotami hoof:hoofs human:humans iris:irises larva:larvae leaf:leaves lens:lenses
    loaf:loaves man:men medium:media memorandum:memoranda money:monies mongoose:mongooses motto:mottoes
    move:moves mythos:mythoi niche:niches nucleus:nuclei numen:numina occiput:occiputs octopus:octopuses
    opus:opuses ox:oxen passerby:passersby penis:penises person:people plateau:plateaux
    runner-up:runners-up safe:safes sex:sexes sieve:sieves soliloquy:soliloquies son-in-law:sons-in-law
    syllabus:syllabi testis:testes thief:thieves tooth:teeth tornado:tornadoes trilby:trilbys turf:turfs
    valve:valves volcano:volcanoes abuse:abuses avalanche:avalanches cache:caches curve:curves
    emphasis:emphases foe:foes grave:graves hoax:hoaxes neurosis:neuroses save:saves wave:waves
    oasis:oases zombie:zombies
"""
_PLURAL_SWAPS = dict((one, many) for one, _, many in (pair.partition(b":") for pair in _SWAPS.split()))
_SINGULAR_SWAPS = {many: one for one, many in _PLURAL_SWAPS.items()}

_PLURAL_CHANGES = _changes(
    (r"(s)tatus$", r"\g<1>tatuses"),
    (r"(quiz)$", r"\g<1>zes"),
    (r"^(ox)$", r"\g<1>en"),
    (r"([m|l])ouse$", r"\g<1>ice"),
    (r"(matr|vert|ind)(ix|ex)$", r"\g<1>ices"),
    (r"(x|ch|ss|sh)$", r"\g<1>es"),
    (r"([^aeiouy]|qu)y$", r"\g<1>ies"),
    (r"(hive|gulf)$", r"\g<1>s"),
    (r"(?:([^f])fe|([lr])f)$", r"\g<1>\g<2>ves"),
    (r"sis$", r"ses"),
    (r"([ti])um$", r"\g<1>a"),
    (r"(tax)on$", r"\g<1>a"),
    (r"(c)riterion$", r"\g<1>riteria"),
    (r"(p)erson$", r"\g<1>eople"),
    (r"(m)an$", r"\g<1>en"),
    (r"(c)hild$", r"\g<1>hildren"),
    (r"(f)oot$", r"\g<1>eet"),
    (r"(buffal|her|potat|tomat|volcan)o$", r"\g<1>oes"),
    (r"(alumn|bacill|cact|foc|fung|nucle|radi|stimul|syllab|termin|vir)us$", r"\g<1>i"),
    (r"us$", r"uses"),
    (r"(alias)$", r"\g<1>es"),
    (r"(analys|ax|cris|test|thes)is$", r"\g<1>es"),
    (r"s$", r"s"),
    (r"$", r"s"),
)
_SINGULAR_CHANGES = _changes(
    (r"(s)tatuses$", r"\g<1>tatus"),
    (r"(s)tatus$", r"\g<1>tatus"),
    (r"(c)ampus$", r"\g<1>ampus"),
    (r"^(.*)(menu)s$", r"\g<1>\g<2>"),
    (r"(quiz)zes$", r"\g<1>"),
    (r"(matr)ices$", r"\g<1>ix"),
    (r"(vert|ind)ices$", r"\g<1>ex"),
    (r"^(ox)en", r"\g<1>"),
    (r"(alias)(es)*$", r"\g<1>"),
    (r"(buffal|her|potat|tomat|volcan)oes$", r"\g<1>o"),
    (r"(alumn|bacill|cact|foc|fung|nucle|radi|stimul|syllab|termin|viri?)i$", r"\g<1>us"),
    (r"([ftw]ax)es", r"\g<1>"),
    (r"(analys|ax|cris|test|thes)es$", r"\g<1>is"),
    (r"(shoe|slave)s$", r"\g<1>"),
    (r"(o)es$", r"\g<1>"),
    (r"ouses$", r"ouse"),
    (r"([^a])uses$", r"\g<1>us"),
    (r"([m|l])ice$", r"\g<1>ouse"),
    (r"(x|ch|ss|sh)es$", r"\g<1>"),
    (r"(m)ovies$", r"\g<1>ovie"),
    (r"(s)eries$", r"\g<1>eries"),
    (r"([^aeiouy]|qu)ies$", r"\g<1>y"),
    (r"([lr])ves$", r"\g<1>f"),
    (r"(tive|hive|drive|dive|olive)s$", r"\g<1>"),
    (r"([^fo])ves$", r"\g<1>fe"),
    (r"^(analy)ses$", r"\g<1>sis"),
    (r"(analy|diagno|^ba|(p)arenthe|(p)rogno|(s)ynop|(t)he)ses$", r"\g<1>\g<2>sis"),
    (r"(tax)a$", r"\g<1>on"),
    (r"(c)riteria$", r"\g<1>riterion"),
    (r"([ti])a$", r"\g<1>um"),
    (r"(p)eople$", r"\g<1>erson"),
    (r"(m)en$", r"\g<1>an"),
    (r"(c)hildren$", r"\g<1>hild"),
    (r"(f)eet$", r"\g<1>oot"),
    (r"(n)ews$", r"\g<1>ews"),
    (r"eaus$", r"eau"),
    (r"^tights$", r"tights"),
    (r"^shorts$", r"shorts"),
    (r"s$", r""),
)

_PLURAL = _Ruleset(_PLURAL_KEPT, _PLURAL_DOUBTFUL, _PLURAL_SWAPS, _PLURAL_CHANGES)
_SINGULAR = _Ruleset(_SINGULAR_KEPT, _SINGULAR_DOUBTFUL, _SINGULAR_SWAPS, _SINGULAR_CHANGES)
