"""Octets that are UTF-8 and octets that are not, after RFC 3629: the borders of every form."""

from __future__ import annotations

VALID: tuple[tuple[str, bytes], ...] = (
    ("nothing", b""),
    ("ASCII", b"Hello, world!"),
    ("a word in Greek", "κόσμε".encode()),
    ("two to four octets", "Hello-µ@ßöäüàá-UTF-8!! 日本 🎉".encode()),
    *(
        (f"U+{point:04X}", chr(point).encode())
        for point in (
            *(
                0x0,
                0x7F,
                0x80,
                0x7FF,
                0x800,
                0xFFF,
                0x1000,
                0xD7FF,
                0xE000,
                0xFFFD,
                0x10000,
                0x10FFFE,
                0x10FFFF,
            ),
            # no characters, yet valid: a receiver has to take them
            *(0xFFFE, 0xFFFF, *(plane << 16 | last for plane in range(1, 16) for last in (0xFFFE, 0xFFFF))),
        )
    ),
)

INVALID: tuple[tuple[str, bytes], ...] = (
    # octets that continue a character where none has begun
    *(
        (f"continuations from {first:02x}, {size}", bytes((first,)) * size)
        for first in (0x80, 0xBF)
        for size in (1, 2, 6)
    ),
    ("every continuation", bytes(range(0x80, 0xC0))),
    # octets that begin a character which does not follow
    *((f"{first:02x} before a space", bytes((first, 0x20))) for first in range(0xC0, 0xFE)),
    *((f"{first:02x} at the end", b"a" + bytes((first,))) for first in (0xC2, 0xDF, 0xE0, 0xEF, 0xF0, 0xF4)),
    ("two of three octets", b"\xe0\xa0"),
    ("two of four octets", b"\xf0\x90"),
    ("three of four octets", b"\xf0\x90\x80"),
    ("many that are cut off", b"\xe0\xa0\xf0\x90\x80\xc2\xef\xbf"),
    # never part of a character
    *((f"{octet:02x}", bytes((octet,))) for octet in (0xC0, 0xC1, *range(0xF5, 0x100))),
    ("fe fe ff ff", b"\xfe\xfe\xff\xff"),
    # longer than need be
    *(
        (f"overlong {octets.hex(' ')}", octets)
        for octets in (
            *(b"\xc0\x80", b"\xc0\xaf", b"\xc1\xbf"),
            *(b"\xe0\x80\x80", b"\xe0\x80\xaf", b"\xe0\x9f\xbf"),
            *(b"\xf0\x80\x80\x80", b"\xf0\x80\x80\xaf", b"\xf0\x8f\xbf\xbf"),
            *(
                b"\xf8\x80\x80\x80\xaf",
                b"\xf8\x87\xbf\xbf\xbf",
                b"\xfc\x80\x80\x80\x80\xaf",
                b"\xfc\x83\xbf\xbf\xbf\xbf",
            ),
        )
    ),
    # beyond the last character
    *(
        (f"too large {octets.hex(' ')}", octets)
        for octets in (
            *(b"\xf4\x90\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xf8\x88\x80\x80\x80", b"\xfb\xbf\xbf\xbf\xbf"),
            *(b"\xfc\x84\x80\x80\x80\x80", b"\xfd\xbf\xbf\xbf\xbf\xbf"),
        )
    ),
    # surrogates, alone and in pairs
    *(
        (f"surrogate {octets.hex(' ')}", octets)
        for octets in (
            *(b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"),
            *(b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf"),
            *(
                high + low
                for high in (b"\xed\xa0\x80", b"\xed\xaf\xbf")
                for low in (b"\xed\xb0\x80", b"\xed\xbf\xbf")
            ),
        )
    ),
    ("good, wrong, good", b"Hello-\xc2\xb5@\xc3\x9f\xed\xa0\x80edited"),
    ("wrong after much that is good", b"x" * 4_000 + b"\xff"),
)
