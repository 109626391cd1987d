"""Eloquent models, natively: read again from the database, cast, hidden, related and turned into arrays.

    sql_text        what is asked of a database, and its SQL
    connection      one database: rows as PHP's PDO would give them
    reader          every database of the app, by Laravel's name of the connection
    prefetch        what the models of a batch of jobs have in common is read ahead; `prefetched_rows` keeps
                    it, and says when it stands for a query of one of them
    model_facts     what a model's class says about it, once a class; `boot_methods` what it does at boot
    model_settings  what $casts, $hidden and their kin come to, once for all objects that have the same;
                    `attributes` puts into them what PHP attributes of the class say
    casts           one entry a cast; `cast_classes`: those of the app
    model           the Native of every model class; `model_methods` has one entry a method,
                    `attribute_values` reads attributes, `model_arrays` is toArray
    relations       one entry a relation kind

What the class chain does not show, or what is not written here, is refused.
"""
