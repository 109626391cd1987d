"""`bridge doctor`: everything that can be wrong around an app, and what to do about it.

`examine.py` has the table of checks; a new one is one function and one row there. A check looks and says; it
changes nothing, takes no job, and shows no secret.
"""
