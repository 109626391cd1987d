"""The debug dashboard: a page, a stream of what happens, and the few things that can be done from it.

    session       who may look: a password, a link, or everybody on this machine's own demo
    rows          what happened, as the page gets it
    event_stream  four frames a second at most, each with its most important rows
    socket_lists  the lists that the page asks for
    routes        every address below `/{path}`, laravel-websockets' own among them
    static        the page: plain HTML, CSS and JavaScript

It changes nothing by looking: the journal and the counters are written either way, and a frame is made from
them only while somebody looks.
"""
