"""PHP's patterns, run by PCRE2 itself, for what means the same in every release of it that PHP has.

PHP 7.3 comes with PCRE2 10.32, PHP 8.4 with 10.44, distributions with their own. What has changed on the way
is refused: spaces and `{,3}` in quantifiers and lookbehinds of variable length (10.43), scripts as properties
(10.40), `\\w` and `\\b` beside marks and `\\p{Lu}` without case (10.43), whatever rests on Unicode's tables
beside characters whose class or case has changed or may. So is what PHP does not always answer (recursion,
verbs), and a search that takes so many steps that PHP's own limits might end it. Source: PCRE2's ChangeLog,
php-src ext/pcre/php_pcre.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pcre2

# Steps and nested backtracks that a search may take; PHP ends it after 1,000,000 steps, or 192 KiB of stack.
_LIMITS = b"(*LIMIT_MATCH=200000)(*LIMIT_DEPTH=1000)"
_FLAGS = {"i": 0x8, "m": 0x400, "s": 0x20, "x": 0x80, "u": 0x80000}  # of pcre2.h
_FLAGS |= {"U": 0, "D": 0, "S": 0}  # written into the pattern; the last has no meaning any more
_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}

# Escapes that mean what they mean: characters, places, sets. Those of `_BY_TABLE` ask Unicode's tables.
_CHARACTERS, _PLACES, _SETS, _BY_TABLE = "nrtfea", "AzZbB", "dDwWsShHvVR", "dDwWsSbB"
_CATEGORIES = re.compile("L[u&ltmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?")
_POSIX = re.compile("al(pha|num)|digit|upper|lower|space|x?digit|word|punct|blank|cntrl|graph|print")
_QUANTIFIER = re.compile(r"\{(\d{1,5})(?:,(\d{1,5})?)?\}")
_POSSESSIVE = re.compile(r"\s*(?:[*+?]|\{[\d,]+\})\s*\+")
_LIKE_A_QUANTIFIER = re.compile(r"\{[ \t]*\d*[ \t]*(?:,[ \t]*\d*[ \t]*)?\}")
_HEX = re.compile(r"\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{2})")
_PROPERTY = re.compile(r"\{([A-Za-z&]{1,2})\}|([A-Z])")
_NAME = re.compile(r"\?(?:P?<([A-Za-z_]\w{0,30})>|'([A-Za-z_]\w{0,30})')", re.ASCII)
_INLINE = re.compile(r"\?[imsU]*(?:-[imsU]+)?[:)]")

# Letters, digits and signs whose class and whose case are the same in Unicode 11 to 17. No marks.
_SAME_CLASS = re.compile(
    "[\\x00-\\x7f\\xa0-\\xff\u0100-\u024f\u0391-\u03a1\u03a3-\u03c9\u0400-\u0481\u05d0-\u05ea\u0620-\u064a\u2010-\u2027"
    "\u2030-\u203e\u20ac\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fea\uac00-\ud7a3\U0001f600-\U0001f64f]*"
)
_SAME_CASE = re.compile(
    "[\\x00-\\x7f\\xa0-\\xb4\\xb6-\\xde\\xe0-\\xfe\u0100-\u012f\u0132-\u0137\u0139-\u0148\u014a-\u017e\u0391-\u03a1\u03a3-\u03a9"
    "\u03b1-\u03c1\u03c3-\u03c9\u0410-\u044f\u05d0-\u05ea\u0620-\u064a\u2010-\u2027\u2030-\u203e\u20ac\u3041-\u3096"
    "\u30a1-\u30fa\u4e00-\u9fea\uac00-\ud7a3\U0001f600-\U0001f64f]*"
)


class NotSupported(Exception):
    """The pattern, or this pattern on this subject, may mean another thing to PHP; `str()` says what."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as PCRE2 has compiled it.

    names   of groups, by number
    utf8    it reads characters, not bytes
    same    what a subject may consist of; None: anything
    """

    compiled: pcre2.Pattern
    groups: int
    names: dict[int, str]
    utf8: bool
    same: re.Pattern[str] | None

    def matches(self, subject: bytes) -> Iterator[pcre2.Match]:
        """All matches, as `preg_match_all` finds them; spans are in bytes. Raises NotSupported."""
        import pcre2

        self._require_same(subject)
        try:
            yield from self.compiled.finditer(subject)
        except pcre2.LibraryError:
            raise NotSupported("a regular expression that PHP might give up on this text") from None

    def _require_same(self, subject: bytes) -> None:
        if not self.utf8 or subject.isascii():
            return
        try:
            text = subject.decode()
        except UnicodeDecodeError:  # false and an error for preg_last_error() in PHP
            raise NotSupported("a regular expression on a text that is not UTF-8") from None
        if self.same is not None and self.same.fullmatch(text) is None:
            raise NotSupported("this regular expression on these characters")


@lru_cache(maxsize=256)
def compiled(pattern: bytes) -> Pattern:
    """The pattern between its delimiters, with its flags. Raises NotSupported."""
    text = pattern.lstrip(b" \t\n\r\v\f")
    if not text or text[:1].isalnum() or text[:1] in b"\\" or text[0] == 0 or text[0] >= 128:
        raise NotSupported("a regular expression without delimiters")
    opening = chr(text[0])
    closing = _CLOSING.get(opening, opening)
    end = text.rfind(closing.encode())
    if end <= 0:
        raise NotSupported("a regular expression without an end")
    flags = text[end + 1 :].strip(b" \n\r").decode("latin-1")
    if set(flags) - _FLAGS.keys():
        raise NotSupported(f"the flags {flags} of a regular expression")
    utf8 = "u" in flags
    try:
        body = text[1:end].decode("utf-8" if utf8 else "latin-1")
    except UnicodeDecodeError:
        raise NotSupported("a regular expression that is not UTF-8") from None
    if _CLOSING.get(opening) is None and re.search(r"(?<!\\)(?:\\\\)*" + re.escape(closing), body):
        raise NotSupported("a regular expression with its delimiter inside")
    return _compile(_Reading(body, flags), flags)


def _compile(read: _Reading, flags: str) -> Pattern:
    import pcre2

    source = read.result().encode("utf-8" if read.utf8 else "latin-1")
    options = sum(_FLAGS[flag] for flag in set(flags))
    try:
        made = pcre2.compile(_LIMITS + (b"(?U)" if "U" in flags else b"") + source, options, jit=False)
    except pcre2.LibraryError:
        raise NotSupported("this regular expression") from None
    names = {number: name for name, number in made.groupindex.items()}
    same = None
    if read.utf8 and (read.asks_case or read.asks_class):
        same = _SAME_CASE if read.asks_case else _SAME_CLASS
        if same.fullmatch(read.body) is None:
            raise NotSupported("these characters in a regular expression")
    return Pattern(made, made.groups, names, read.utf8, same)


@dataclass(frozen=True, slots=True)
class _Group:
    """An open group: whether it is, or is in, a lookbehind, and something whose inside is not tried again."""

    lookbehind: bool = False
    atomic: bool = False


class _Reading:
    """Reads a pattern once, from left to right: gives it in the form that means the same in every release, or
    raises NotSupported. What is not well-formed PCRE2 refuses."""

    def __init__(self, body: str, flags: str) -> None:
        self.body: Final = body
        self.utf8: Final = "u" in flags
        self.asks_case = "i" in flags
        self.asks_class = False
        self._extended = "x" in flags
        self._only_at_end = "D" in flags and "m" not in flags  # what `$` means
        self._asks_letter_case = False
        self._at = 0
        self._open: list[_Group] = []

    def result(self) -> str:
        if "\0" in self.body:
            raise NotSupported("a regular expression with a zero byte")
        parts: list[str] = []
        while self._at < len(self.body):
            parts.append(self._next())
        if self._asks_letter_case and self.asks_case:
            raise NotSupported("the case of letters where the case has no meaning")
        return "".join(parts)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.body, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def _next(self) -> str:
        start, character = self._at, self.body[self._at]
        self._at += 1
        in_lookbehind = self._around().lookbehind
        match character:
            case "\\":
                return self._escape()
            case "[":
                return self._class()
            case "(":
                self._group()
            case ")" if self._open:
                self._open.pop()
                if self._take(_POSSESSIVE):  # PHP's compiled form of 10.42 keeps groups that it has left
                    raise NotSupported("a possessive quantifier after a group")
            case "|" if in_lookbehind and len(self._open) > 1 and self._open[-2].lookbehind:
                raise NotSupported("alternatives in a group of a lookbehind")
            case "*" | "+" | "?" if in_lookbehind:
                raise NotSupported("a quantifier in a lookbehind")
            case "{":
                self._at = start
                if self._take(_QUANTIFIER) is None:
                    if _LIKE_A_QUANTIFIER.match(self.body, start):
                        raise NotSupported("this brace in a regular expression")
                    self._at = start + 1
                elif in_lookbehind:
                    raise NotSupported("a quantifier in a lookbehind")
            case "$" if self._only_at_end:
                return "\\z"
            case "#" if self._extended:  # what stands in a comment is no pattern
                end = self.body.find("\n", self._at)
                self._at = len(self.body) if end < 0 else end
                return ""
        return self.body[start : self._at]

    def _around(self) -> _Group:
        return self._open[-1] if self._open else _Group()

    def _group(self) -> None:
        around = self._around()
        start = self.body[self._at : self._at + 3]
        if start[:1] == "*":
            raise NotSupported("a verb in a regular expression")
        if start in ("?<=", "?<!"):
            self._at += 3
            self._open.append(_Group(lookbehind=True, atomic=True))
        elif start[:2] in ("?!", "?>"):
            self._at += 2
            self._open.append(replace(around, atomic=True))
        elif start[:2] in ("?:", "?="):
            self._at += 2
            self._open.append(around)
        elif inline := self._take(_INLINE):
            if self._only_at_end and "m" in inline[0]:
                raise NotSupported("the flags m and D in a regular expression")
            self.asks_case = self.asks_case or "i" in inline[0].partition("-")[0]
            if inline[0].endswith(":"):  # else it holds to the end of the group around it
                self._open.append(around)
        elif start[:1] == "?" and self._take(_NAME) is None:
            raise NotSupported("this kind of group in a regular expression")
        elif around.atomic:
            raise NotSupported("a group in a lookbehind, in a negative assertion or in an atomic group")
        else:
            self._open.append(around)

    def _escape(self, *, in_class: bool = False) -> str:
        """What a backslash and what follows it stand for."""
        character = self.body[self._at : self._at + 1]
        self._at += 1
        if not character:
            raise NotSupported("a backslash at the end of a regular expression")
        if not (character.isascii() and character.isalnum()):
            return "\\" + character
        if character == "x":
            return self._hex()
        if character in "pP" and self.utf8:
            return self._property(character)
        in_lookbehind = self._around().lookbehind
        if character in "123456789" and not in_class and not in_lookbehind:
            if self.body[self._at : self._at + 1].isdigit():
                raise NotSupported("a backslash and several digits in a regular expression")
            return "\\" + character
        places = "b" if in_class else _PLACES
        sets = _SETS.replace("R", "") if in_class or in_lookbehind else _SETS
        if character not in _CHARACTERS + places + sets:
            raise NotSupported(f"\\{character} in a regular expression")
        if character in _BY_TABLE and not (in_class and character == "b"):
            self.asks_class = True
        return "\\" + character

    def _hex(self) -> str:
        match = self._take(_HEX)
        code = int(match[1] or match[2], 16) if match is not None else -1
        last = 0x10FFFF if self.utf8 else 0xFF
        if code < 0 or code > last or 0xD800 <= code < 0xE000:
            raise NotSupported("this \\x in a regular expression")
        if code >= 128 and (self.asks_class or self.asks_case):
            raise NotSupported("a character by its number in a regular expression")
        return f"\\o{{{code:o}}}"

    def _property(self, character: str) -> str:
        match = self._take(_PROPERTY)
        name = (match[1] or match[2]) if match is not None else ""
        if _CATEGORIES.fullmatch(name) is None:
            raise NotSupported(f"\\{character} in a regular expression")
        self.asks_class = True
        self._asks_letter_case = self._asks_letter_case or name in ("Lu", "Ll", "Lt")
        return f"\\{character}{{{name}}}"

    def _class(self) -> str:
        parts = ["["]
        if self.body[self._at : self._at + 1] == "^":
            self._at += 1
            parts.append("^")
        first, after_set = True, False
        while True:
            character = self.body[self._at : self._at + 1]
            if not character:
                raise NotSupported("a character class without an end")
            self._at += 1
            if character == "]" and not first:
                return "".join([*parts, "]"])
            first = False
            if after_set and character == "-" and self.body[self._at : self._at + 1] != "]":
                raise NotSupported("this range in a character class")
            after_set = False
            if character == "\\":
                after_set = self.body[self._at : self._at + 1] in (*_SETS, "p", "P")
                character = self._escape(in_class=True)
            elif character == "[" and self.body[self._at : self._at + 1] in (":", ".", "="):
                character, after_set = self._posix(), True
            parts.append(character)

    def _posix(self) -> str:
        end = self.body.find(":]", self._at)
        name = self.body[self._at + 1 : end]
        if self.body[self._at] != ":" or end < 0 or _POSIX.fullmatch(name) is None:
            raise NotSupported("this character class")
        self._at = end + 2
        if self.utf8 and name in ("punct", "graph", "print", "xdigit", "digit"):
            raise NotSupported(f"[:{name}:] in a regular expression for UTF-8")
        self.asks_class = True
        return f"[:{name}:]"
