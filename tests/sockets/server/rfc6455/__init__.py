"""RFC 6455 byte by byte: what a client may send and what must come back, as tables of cases.

cases.py             the words that tables are written in
tables.py, utf8.py   the cases in groups; the numbers are those of the Autobahn test suite
echo.py              bridge's listener and sockets, with an echo in place of the Pusher protocol
test_conformance.py  every case of every table, once in whole segments and once octet by octet
"""
