"""The cases, a tuple for each group of the Autobahn test suite; sections are of RFC 6455."""

from __future__ import annotations

from tests.sockets.server.rfc6455.cases import (
    BINARY,
    CLOSE,
    CONT,
    LIMIT,
    PING,
    PONG,
    TEXT,
    Case,
    close,
    closed,
    closing,
    echo,
    fragments,
    frame,
    text,
)
from tests.sockets.server.rfc6455.utf8 import INVALID, VALID

HELLO = b"Hello, world!"
STAR = b"*"

# Framing (5.2): every length form, and its borders --------------------------------------------------------

FRAMING = (
    *(
        Case(id=f"1.1 text of {size} bytes", sent=text(STAR * size), expected=(echo(STAR * size),))
        for size in (0, 1, 125, 126, 127, 128, 65_535, LIMIT)
    ),
    # Messages of the Pusher protocol are text: 1003 is the code for a type that cannot be accepted (7.4.1)
    *(
        Case(id=f"1.2 binary of {size} bytes", sent=frame(BINARY, STAR * size), expected=(closed(1003),))
        for size in (0, 1, 125, 126, 127, 128, 65_535, LIMIT)
    ),
    Case(id="1.2 binary in fragments", sent=fragments(b"a", b"b", opcode=BINARY), expected=(closed(1003),)),
    Case(id="a mask of zeros", sent=frame(TEXT, HELLO, mask=bytes(4)), expected=(echo(HELLO),)),
    Case(id="text that is not masked", sent=frame(TEXT, HELLO, mask=None), expected=(closed(1002),)),
    Case(id="a ping that is not masked", sent=frame(PING, HELLO, mask=None), expected=(closed(1002),)),
    Case(id="a close frame that is not masked", sent=frame(CLOSE, b"", mask=None), expected=(closed(1002),)),
    Case(
        id="twenty messages at once",
        sent=b"".join(text(b"%d" % number) for number in range(20)),
        expected=tuple(echo(b"%d" % number) for number in range(20)),
    ),
)

# Pings and pongs (5.5.2, 5.5.3) ---------------------------------------------------------------------------

OCTETS = bytes((0x00, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0x00, 0xFF))
PINGS = (
    Case(id="2.1 without payload", sent=frame(PING), expected=((PONG, b""),)),
    Case(id="2.2 with text", sent=frame(PING, HELLO), expected=((PONG, HELLO),)),
    Case(id="2.3 with octets that are no text", sent=frame(PING, OCTETS), expected=((PONG, OCTETS),)),
    Case(id="2.4 of 125 octets", sent=frame(PING, b"\xfe" * 125), expected=((PONG, b"\xfe" * 125),)),
    Case(id="2.5 of 126 octets", sent=frame(PING, b"\xfe" * 126), expected=(closed(1002),)),
    Case(id="2.7 a pong that was not asked for", sent=frame(PONG), expected=()),
    Case(id="2.8 such a pong with payload", sent=frame(PONG, HELLO), expected=()),
    Case(id="2.8 a pong of 126 octets", sent=frame(PONG, b"x" * 126), expected=(closed(1002),)),
    Case(
        id="2.9 such a pong before a ping",
        sent=frame(PONG, HELLO) + frame(PING, b"ping"),
        expected=((PONG, b"ping"),),
    ),
    Case(
        id="2.10 ten pings",
        sent=b"".join(frame(PING, b"payload-%d" % number) for number in range(10)),
        expected=tuple((PONG, b"payload-%d" % number) for number in range(10)),
    ),
    Case(
        id="a ping between two messages",
        sent=text(b"one") + frame(PING, b"two") + text(b"three"),
        expected=(echo(b"one"), (PONG, b"two"), echo(b"three")),
    ),
)

# Reserved bits (5.2): there is no extension that gives them a meaning -------------------------------------

RESERVED_BITS = (
    *(
        Case(
            id=f"3.1 to 3.7 bits {rsv:03b}, opcode {opcode}",
            sent=text(HELLO) + frame(opcode, b"", rsv=rsv),
            expected=(echo(HELLO), closed(1002)),
        )
        for rsv in range(1, 8)
        for opcode in (TEXT, BINARY, CLOSE, PING, PONG)
    ),
    Case(
        id="3.1 bits 001 with payload, a ping behind",
        sent=frame(TEXT, HELLO, rsv=1) + frame(PING),
        expected=(closed(1002),),
    ),
    Case(
        id="bits on a continuation",
        sent=frame(TEXT, b"a", fin=False) + frame(CONT, b"b", rsv=4),
        expected=(closed(1002),),
    ),
)

# Opcodes (5.2): 3 to 7 and 11 to 15 are reserved ----------------------------------------------------------

OPCODES = tuple(
    Case(
        id=f"4.1 and 4.2 opcode {opcode}, {len(payload)} octets",
        sent=text(HELLO) + frame(opcode, payload) + frame(PING),
        expected=(echo(HELLO), closed(1002)),
    )
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    for payload in (b"", HELLO)
)

# Fragmentation (5.4) --------------------------------------------------------------------------------------


def begun(payload: bytes = b"fragment1") -> bytes:
    return frame(TEXT, payload, fin=False)


def continued(payload: bytes = b"fragment2", *, fin: bool = True) -> bytes:
    return frame(CONT, payload, fin=fin)


BOTH = echo(b"fragment1fragment2")
FRAGMENTATION = (
    Case(id="5.1 a ping in two fragments", sent=fragments(b"a", b"b", opcode=PING), expected=(closed(1002),)),
    Case(id="5.2 a pong in two fragments", sent=fragments(b"a", b"b", opcode=PONG), expected=(closed(1002),)),
    Case(
        id="a close frame in two fragments", sent=fragments(b"", b"", opcode=CLOSE), expected=(closed(1002),)
    ),
    Case(id="5.3 text in two fragments", sent=begun() + continued(), expected=(BOTH,)),
    Case(id="text in three, the first empty", sent=fragments(b"", b"a", b"b"), expected=(echo(b"ab"),)),
    Case(id="text in three, all empty", sent=fragments(b"", b"", b""), expected=(echo(b""),)),
    Case(
        id="6.1.3 text in three, only the middle is not empty",
        sent=fragments(b"", HELLO, b""),
        expected=(echo(HELLO),),
    ),
    Case(
        id="5.6 a ping between",
        sent=begun() + frame(PING, b"ping") + continued(),
        expected=((PONG, b"ping"), BOTH),
    ),
    Case(id="a pong between", sent=begun() + frame(PONG, b"pong") + continued(), expected=(BOTH,)),
    *(
        Case(
            id=f"5.9 to 5.14 a continuation of nothing, FIN {fin}, {times} times",
            sent=continued(b"non-continuation", fin=fin) * times + text(HELLO),
            expected=(closed(1002),),
        )
        for fin in (True, False)
        for times in (1, 2)
    ),
    *(
        Case(
            id=f"5.15 to 5.17 a continuation after a whole message, FIN {fin}",
            sent=begun() + continued() + continued(b"fragment3", fin=fin) + text(HELLO),
            expected=(BOTH, closed(1002)),
        )
        for fin in (True, False)
    ),
    *(
        Case(
            id=f"5.18 a new message before the first has ended, FIN {fin}",
            sent=begun() + frame(TEXT, b"fragment2", fin=fin),
            expected=(closed(1002),),
        )
        for fin in (True, False)
    ),
    Case(
        id="5.19 five fragments with pings between",
        sent=begun(b"1")
        + continued(b"2", fin=False)
        + frame(PING, b"p1")
        + continued(b"3", fin=False)
        + continued(b"4", fin=False)
        + frame(PING, b"p2")
        + continued(b"5"),
        expected=((PONG, b"p1"), (PONG, b"p2"), echo(b"12345")),
    ),
    Case(
        id="two fragmented messages, one after the other",
        sent=fragments(b"a", b"b") + fragments(b"c", b"d"),
        expected=(echo(b"ab"), echo(b"cd")),
    ),
    Case(
        id="a close frame between fragments",
        sent=begun() + close(1000),
        expected=((CLOSE, closing(1000)),),
    ),
)

# UTF-8 (8.1) ----------------------------------------------------------------------------------------------

UTF8 = (
    *(
        Case(id=f"6.2, 6.5 to 6.7, 6.22 {name}", sent=text(word), expected=(echo(word),))
        for name, word in VALID
    ),
    *(
        Case(
            id=f"6.2 {name}, a fragment for each octet",
            sent=fragments(*(bytes((octet,)) for octet in word)),
            expected=(echo(word),),
        )
        for name, word in VALID
        if word
    ),
    *(
        Case(id=f"6.3, 6.8 to 6.21 {name}", sent=text(octets), expected=(closed(1007),))
        for name, octets in INVALID
    ),
    *(
        Case(
            id=f"6.3 {name}, a fragment for each octet",
            sent=fragments(*(bytes((octet,)) for octet in octets)),
            expected=(closed(1007),),
        )
        for name, octets in INVALID
    ),
    # Failing fast: the message never ends, its first fragments are wrong already
    Case(
        id="6.4.1 a wrong octet in a fragment that is not the last",
        sent=begun("κόσμε".encode()) + continued(b"\xf4\x90\x80\x80", fin=False),
        expected=(closed(1007),),
    ),
    Case(
        id="6.4.2 a wrong octet as soon as it is known",
        sent=begun("κόσμε".encode() + b"\xf4") + continued(b"\x90", fin=False),
        expected=(closed(1007),),
    ),
    Case(
        id="6.4 a fragment that ends in half a character is not wrong yet",
        sent=begun(b"\xf4") + frame(PING, b"still here") + continued(b"\x8f\xbf\xbf"),
        expected=((PONG, b"still here"), echo(b"\xf4\x8f\xbf\xbf")),
    ),
)

# Closing (5.5.1, 7.4) -------------------------------------------------------------------------------------

# 1004 to 1006 and 1015 are never sent; 1012 to 1014 were registered with IANA after the RFC.
MAY_BE_SENT = (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4001, 4100, 4200, 4999)
MUST_NOT_BE_SENT = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 65_535)
GOODBYE = (CLOSE, closing(1000))
CLOSING = (
    Case(id="7.1.1 after a message", sent=text(HELLO) + close(1000), expected=(echo(HELLO), GOODBYE)),
    Case(id="7.1.2 twice", sent=close(1000), behind=close(1000), expected=(GOODBYE,)),
    Case(id="7.1.3 with a ping behind", sent=close(1000), behind=frame(PING), expected=(GOODBYE,)),
    Case(id="7.1.4 with a message behind", sent=close(1000), behind=text(HELLO), expected=(GOODBYE,)),
    Case(
        id="7.1.5 in the middle of a message",
        sent=begun() + close(1000),
        behind=continued(),
        expected=(GOODBYE,),
    ),
    Case(
        id="7.1.6 after a large message",
        sent=text(b"B" * LIMIT) + text(HELLO) + close(1000),
        expected=(echo(b"B" * LIMIT), echo(HELLO), GOODBYE),
    ),
    Case(id="7.3.1 without a code", sent=close(), expected=((CLOSE, b""),)),
    Case(id="7.3.2 with one octet", sent=frame(CLOSE, b"a"), expected=(closed(1002),)),
    Case(id="7.3.3 with a code", sent=close(1000), expected=(GOODBYE,)),
    Case(id="7.3.4 with a reason", sent=close(1000, HELLO), expected=((CLOSE, closing(1000, HELLO)),)),
    Case(
        id="7.3.5 with the longest reason",
        sent=close(1000, STAR * 123),
        expected=((CLOSE, closing(1000, STAR * 123)),),
    ),
    Case(id="7.3.6 with a reason too long", sent=close(1000, STAR * 124), expected=(closed(1002),)),
    Case(
        id="7.5.1 with a reason that is not UTF-8",
        sent=close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited"),
        expected=(closed(1007),),
    ),
    *(
        Case(id=f"7.7 code {code}", sent=close(code), expected=((CLOSE, closing(code)),))
        for code in MAY_BE_SENT
    ),
    *(
        Case(id=f"7.9, 7.13 code {code}", sent=close(code, b"why"), expected=(closed(1002),))
        for code in MUST_NOT_BE_SENT
    ),
)

# Limits (10.4), and the one case of group 10 --------------------------------------------------------------


def cut(message: bytes, size: int) -> bytes:
    """The message in fragments of this size."""
    return fragments(*(message[at : at + size] for at in range(0, len(message), size)))


def length_of(size: int) -> bytes:
    """The beginning of a text frame that says to be this long."""
    return b"\x81\xff" + size.to_bytes(8, "big") + bytes(4)


FULL = b"*" * LIMIT
LIMITS = (
    Case(id="9.1 the largest message", sent=text(FULL), expected=(echo(FULL),)),
    Case(id="the largest, twice", sent=text(FULL) * 2, expected=(echo(FULL), echo(FULL))),
    *(
        Case(
            id=f"9.3 the largest message in fragments of {size}", sent=cut(FULL, size), expected=(echo(FULL),)
        )
        for size in (64, 256, 1_024, 4_096, 16_384)
    ),
    Case(id="10.1.1 in fragments of 1300", sent=cut(FULL, 1_300), expected=(echo(FULL),)),
    Case(id="one octet more", sent=text(FULL + b"*"), expected=(closed(1009),)),
    Case(id="one octet more, in fragments", sent=cut(FULL + b"*", 4_096), expected=(closed(1009),)),
    Case(
        id="9.7 a thousand messages",
        sent=b"".join(text(b"%d" % number) for number in range(1_000)),
        expected=tuple(echo(b"%d" % number) for number in range(1_000)),
    ),
    Case(
        id="a message of a thousand fragments",
        sent=fragments(*(b"x" for _ in range(1_000))),
        expected=(echo(b"x" * 1_000),),
    ),
    # Only said, never sent: nothing may be kept free for it
    *(
        Case(id=f"a frame that says to be of {size} octets", sent=length_of(size), expected=(closed(1009),))
        for size in (LIMIT + 1, 2**31, 2**32, 2**62, 2**63 - 1)
    ),
)

# permessage-deflate (RFC 7692): an offer is not taken, so the bit that marks compression stays reserved ----

COMPRESSION = (
    Case(
        id="12, 13 a compressed message",
        sent=frame(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=4),
        expected=(closed(1002),),
    ),
    Case(
        id="12, 13 a message as it is",
        sent=text(HELLO),
        expected=(echo(HELLO),),
    ),
)

GROUPS: dict[str, tuple[Case, ...]] = {
    "1 framing": FRAMING,
    "2 pings and pongs": PINGS,
    "3 reserved bits": RESERVED_BITS,
    "4 opcodes": OPCODES,
    "5 fragmentation": FRAGMENTATION,
    "6 UTF-8": UTF8,
    "7 closing": CLOSING,
    "9 and 10 limits": LIMITS,
    "12 and 13 compression": COMPRESSION,
}
