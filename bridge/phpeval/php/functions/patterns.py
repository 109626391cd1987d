"""PCRE patterns → Python's `re`, for the subset in which both mean the same and end soon.

What is not in the subset is refused: recursion, atomic groups, inline flags, possessive quantifiers,
back references, quantified groups whose inside can match in more than one way, and, beside text that is not
ASCII, everything that depends on Unicode's tables (`\\w`, `\\d`, `\\s`, `\\b`, `\\p`, the flag `i`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}
_PLAIN_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "e": "\x1b", "a": "\x07"}
_SETS = {"d": "0-9", "w": "a-zA-Z0-9_", "s": r" \t\n\r\f\v", "h": r" \t"}
_POSIX = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z",
    "space": r" \t\n\r\f\v", "xdigit": "0-9a-fA-F", "word": "a-zA-Z0-9_", "punct": r"!-/:-@\[-`{-~",
}  # fmt: skip
_PROPERTIES = {"L": "a-zA-Z", "Lu": "A-Z", "Ll": "a-z", "N": "0-9", "Nd": "0-9"}
_COST = 100_000_000  # steps a search may take at worst


class NotSupported(Exception):
    """The pattern, or this pattern on this subject, is outside of the subset; `str()` says what."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A translated pattern.

    names        of groups, by number
    only_ascii   it means the same as in PCRE only beside ASCII text
    open_ended   how many unbounded quantifiers something follows: the power of the worst case
    """

    compiled: re.Pattern[str]
    names: dict[int, str]
    utf8: bool
    only_ascii: bool
    open_ended: int

    def text(self, subject: bytes) -> str:
        """The subject as the pattern reads it. Raises NotSupported where the pattern means another thing
        beside it, or could take too long. UnicodeDecodeError: not UTF-8, an error in PHP too."""
        if len(subject) ** (self.open_ended + 1) > _COST * 4:
            raise NotSupported("a regular expression on a text this long")
        if subject.isascii():
            return subject.decode("ascii")
        if self.only_ascii and self.utf8:
            raise NotSupported("this regular expression on a text that is not ASCII")
        return subject.decode("utf-8" if self.utf8 else "latin-1")

    def bytes(self, text: str) -> bytes:
        return text.encode("utf-8" if self.utf8 else "latin-1")


@lru_cache(maxsize=256)
def translate(pattern: bytes) -> Pattern:
    """Raises NotSupported for all that is not known to mean the same."""
    text = pattern.lstrip(b" \t\n\r\v\f")
    if not text or text[:1].isalnum() or text[:1] in b"\\" or text[0] == 0 or text[0] >= 128:
        raise NotSupported("a regular expression without delimiters")
    opening = chr(text[0])
    closing = _CLOSING.get(opening, opening)
    end = text.rfind(closing.encode())
    if end <= 0:
        raise NotSupported("a regular expression without an end")
    flags = text[end + 1 :].strip(b" \n\r").decode("latin-1")
    if set(flags) - set("imsuD"):
        raise NotSupported(f"the flags {flags} of a regular expression")
    utf8 = "u" in flags
    try:
        body = text[1:end].decode("utf-8" if utf8 else "latin-1")
    except UnicodeDecodeError:
        raise NotSupported("a regular expression that is not UTF-8") from None
    if _CLOSING.get(opening) is None and re.search(r"(?<!\\)(?:\\\\)*" + re.escape(closing), body):
        raise NotSupported("a regular expression with its delimiter inside")
    return _Translation(body, flags, opening + closing).result()


class _Translation:
    def __init__(self, body: str, flags: str, delimiters: str) -> None:
        self.body = body
        self.flags = flags
        self.delimiters = delimiters
        self.at = 0
        self.groups = 0
        self.names: dict[int, str] = {}
        self.only_ascii = "i" in flags
        self.open_ended = 0
        self.pending_open = False  # an unbounded quantifier that nothing has followed yet

    def result(self) -> Pattern:
        source, _ = self._alternatives(top=True)
        if self.at != len(self.body):
            raise NotSupported("a parenthesis without its partner")
        flags = (
            re.ASCII | (re.IGNORECASE if "i" in self.flags else 0) | (re.DOTALL if "s" in self.flags else 0)
        )
        try:
            compiled = re.compile(source, flags)
        except (re.error, OverflowError, RecursionError):
            raise NotSupported("this regular expression") from None
        return Pattern(compiled, self.names, "u" in self.flags, self.only_ascii, self.open_ended)

    def _peek(self, length: int = 1) -> str:
        return self.body[self.at : self.at + length]

    def _alternatives(self, *, top: bool = False) -> tuple[str, _Shape]:
        branches: list[str] = []
        shapes: list[_Shape] = []
        while True:
            branch, shape = self._sequence()
            branches.append(branch)
            shapes.append(shape)
            if self._peek() != "|":
                break
            self.at += 1
        whole = _Shape(
            captures=any(shape.captures for shape in shapes),
            varies=len(shapes) > 1 or any(shape.varies for shape in shapes),
            empty=any(shape.empty for shape in shapes),
        )
        return "|".join(branches), whole

    def _sequence(self) -> tuple[str, _Shape]:
        parts: list[str] = []
        captures = varies = False
        empty = True
        while self.at < len(self.body) and self._peek() not in ("|", ")"):
            atom, shape = self._atom()
            quantifier, least, most = self._quantifier()
            if quantifier:
                if shape is None:
                    raise NotSupported("a quantifier after nothing that can be repeated")
                repeated = most is None or most > 1
                if repeated and ((shape.captures and shape.group) or shape.varies or shape.empty):
                    raise NotSupported("a repeated group that can match in more than one way")
                varies = varies or least != most
            if shape is not None:
                if self.pending_open:
                    self.open_ended += 1
                    self.pending_open = False
                if quantifier and (most is None or most > 32) and least != most:
                    self.pending_open = True
                captures = captures or shape.captures
                varies = varies or shape.varies
                empty = empty and (shape.empty or least == 0)
            elif self.pending_open and atom:
                self.open_ended += 1
                self.pending_open = False
            parts.append(atom + quantifier)
        return "".join(parts), _Shape(captures=captures, varies=varies, empty=empty)

    def _quantifier(self) -> tuple[str, int, int | None]:
        match = re.compile(r"\*|\+|\?|\{(\d{1,4})(,(\d{1,4})?)?\}").match(self.body, self.at)
        if match is None:
            if self._peek() == "{" and re.match(r"\{,?\d*,?\d*\}", self.body[self.at :]):
                raise NotSupported("this brace in a regular expression")
            return "", 1, 1
        self.at = match.end()
        text = match[0]
        if match[1] is not None:
            least = int(match[1])
            most = least if match[2] is None else int(match[3]) if match[3] else None
        else:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[text]
        if self._peek() == "+":
            raise NotSupported("a possessive quantifier")
        if self._peek() == "?":
            self.at += 1
            text += "?"
        if self._peek() in ("*", "+", "?") and self._peek():
            raise NotSupported("a quantifier after a quantifier")
        return text, least, most

    def _atom(self) -> tuple[str, _Shape | None]:
        """The next atom, and its shape: None for an assertion, which cannot be repeated."""
        character = self._peek()
        self.at += 1
        match character:
            case "(":
                return self._group()
            case "[":
                return self._class(), _ONE
            case ".":
                return ".", _ONE
            case "^":
                return (r"(?:\A|(?<=\n)(?!\Z))" if "m" in self.flags else r"\A"), None
            case "$":
                if "m" in self.flags:
                    return r"(?=\n|\Z)", None
                return (r"\Z" if "D" in self.flags else r"(?=\n?\Z)"), None
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                raise NotSupported("a quantifier after nothing that can be repeated")
            case "{" if re.match(r"\{\d*,?\d*\}", self.body[self.at - 1 :]):
                raise NotSupported("a quantifier after nothing that can be repeated")
            case "{" | "}" | "]":
                return re.escape(character), _ONE
        return re.escape(character), _ONE

    def _group(self) -> tuple[str, _Shape | None]:
        opening = "("
        capturing = assertion = False
        for start in ("?:", "?=", "?!", "?<=", "?<!"):
            if self.body.startswith(start, self.at):
                self.at += len(start)
                opening = "(" + start
                assertion = start != "?:"
                break
        else:
            named = re.compile(r"\?(?:P?<(\w+)>|'(\w+)')", re.ASCII).match(self.body, self.at)
            if named is not None:
                self.at = named.end()
                name = named[1] or named[2]
                if name in self.names.values() or name[0].isdigit():
                    raise NotSupported("two groups of one name")
                self.names[self.groups + 1] = name
            elif self._peek() in ("?", "*") and self._peek():
                raise NotSupported("this kind of group in a regular expression")
            capturing = True
            self.groups += 1
        source, shape = self._alternatives()
        if self._peek() != ")":
            raise NotSupported("a parenthesis without its partner")
        self.at += 1
        if assertion:
            if shape.captures:
                raise NotSupported("a group in an assertion")
            return f"{opening}{source})", None
        whole = _Shape(
            captures=shape.captures or capturing, varies=shape.varies, empty=shape.empty, group=True
        )
        return f"{opening}{source})", whole

    def _escape(self) -> tuple[str, _Shape | None]:
        character = self._peek()
        self.at += 1
        if not character:
            raise NotSupported("a backslash at the end of a regular expression")
        if not character.isalnum():
            return re.escape(character), _ONE
        if character in "bB":
            self.only_ascii = self.only_ascii or "u" in self.flags
            return "\\" + character, None
        if character in "AzZ":
            return {"A": r"\A", "z": r"\Z", "Z": r"(?=\n?\Z)"}[character], None
        if character in _PLAIN_ESCAPES:
            return re.escape(_PLAIN_ESCAPES[character]), _ONE
        if character == "x":
            return re.escape(self._hex()), _ONE
        inside, negated = self._set(character)
        return f"[{'^' if negated else ''}{inside}]", _ONE

    def _set(self, character: str) -> tuple[str, bool]:
        """The set that `\\d` and its kin stand for."""
        if character.lower() in _SETS and (character.lower() != "h" or "u" in self.flags):
            self.only_ascii = self.only_ascii or "u" in self.flags
            return _SETS[character.lower()], character.isupper()
        if character in "pP" and "u" in self.flags:
            match = re.compile(r"\{(\w+)\}|(\w)").match(self.body, self.at)
            name = (match[1] or match[2]) if match is not None else ""
            if match is not None and name in _PROPERTIES:
                self.at = match.end()
                self.only_ascii = True
                return _PROPERTIES[name], character == "P"
        raise NotSupported(f"\\{character} in a regular expression")

    def _hex(self) -> str:
        match = re.compile(r"\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{2})").match(self.body, self.at)
        if match is None:
            raise NotSupported("this \\x in a regular expression")
        self.at = match.end()
        code = int(match[1] or match[2], 16)
        if code > (0x10FFFF if "u" in self.flags else 0xFF):
            raise NotSupported("this \\x in a regular expression")
        return chr(code)

    def _class(self) -> str:
        negated = self._peek() == "^"
        self.at += negated
        items: list[str] = []
        first = True
        while True:
            if self.at >= len(self.body):
                raise NotSupported("a character class without an end")
            character = self._peek()
            if character == "]" and not first:
                self.at += 1
                break
            first = False
            low = self._class_item()
            if self._peek() == "-" and self.body[self.at + 1 : self.at + 2] not in ("]", ""):
                if len(low) != 1:
                    raise NotSupported("this range in a character class")
                self.at += 1
                high = self._class_item()
                if len(high) != 1 or high < low:
                    raise NotSupported("this range in a character class")
                items.append(f"{_class_escape(low)}-{_class_escape(high)}")
            else:
                items.append(_class_escape(low) if len(low) == 1 else low)
        return f"[{'^' if negated else ''}{''.join(items)}]"

    def _class_item(self) -> str:
        """One character, or the inside of a set (longer than one character)."""
        character = self._peek()
        self.at += 1
        if character == "[":
            match = re.compile(r":(\w+):\]").match(self.body, self.at)
            if match is not None:
                if match[1] not in _POSIX:
                    raise NotSupported(f"[:{match[1]}:] in a regular expression")
                self.at = match.end()
                self.only_ascii = self.only_ascii or "u" in self.flags
                return _POSIX[match[1]]
            if self._peek() in (":", ".", "="):
                raise NotSupported("this character class")
            return character
        if character != "\\":
            return character
        escaped = self._peek()
        self.at += 1
        if not escaped:
            raise NotSupported("a backslash at the end of a regular expression")
        if not escaped.isalnum():
            return escaped
        if escaped == "b":
            return "\x08"
        if escaped in _PLAIN_ESCAPES:
            return _PLAIN_ESCAPES[escaped]
        if escaped == "x":
            return self._hex()
        inside, negated = self._set(escaped)
        if negated:
            if escaped in "DWS":
                return "\\" + escaped
            raise NotSupported("this set in a character class")
        return inside


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """captures: holds a capturing group; varies: can match in more than one way; empty: can match nothing."""

    captures: bool = False
    varies: bool = False
    empty: bool = False
    group: bool = False


_ONE = _Shape()


def _class_escape(character: str) -> str:
    return character if character.isalnum() else "\\" + character if character.isascii() else character
