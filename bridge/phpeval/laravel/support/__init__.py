"""Laravel classes whose behaviour is written in Python: one module a family, one entry a class."""
