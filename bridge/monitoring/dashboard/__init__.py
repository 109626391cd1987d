"""The debug dashboard: a page, a stream of what happens, and the few things that can be done from it.

    access    who may look: a password, a link signed by an app, or everybody on this machine's own demo
    rows      what happened, as the page gets it
    feed      the stream: four frames a second at most, each with its most important rows
    routes    every address below `/{path}`, laravel-websockets' own among them
    static    the page: plain HTML, CSS and JavaScript

It changes nothing by looking: the journal and the tally are written either way, and a frame is made from
them only while somebody looks.
"""
