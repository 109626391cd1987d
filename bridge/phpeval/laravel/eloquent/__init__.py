"""Eloquent models, natively: read again from the database, cast, hidden, related and turned into arrays.

    statements    what is asked, and its SQL
    sources     ↯ one database: rows as PHP's PDO would give them
    ahead         rows that were read for several jobs at once, and when they stand for a query of one
    records     ↯ every database of the app, by Laravel's name of the connection
    facts         what a model's class says about it, once a class
    setup         what $casts, $hidden and their kin come to, once for all objects that have the same
    casts         one entry a cast; casters: cast classes of the app
    model         attributes, accessors, toArray; the Native of every model class
    relations     one entry a relation kind
    batch         what the models of a batch of jobs have in common is read ahead

What the class chain does not show, or what is not written here, is refused.
"""
