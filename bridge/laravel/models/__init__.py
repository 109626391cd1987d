"""Eloquent models, natively: read again from the database, cast, hidden, related and turned into arrays.

    records     ↯ rows of the app's database as PHP's PDO would give them
    facts         what a model's class says about it, once a class
    casts         one entry a cast
    model         attributes, accessors, toArray; the Native of every model class
    relations     one entry a relation kind

What the class chain does not show, or what is not written here, is refused.
"""
