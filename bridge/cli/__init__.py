"""The command line: what a person types, and what is printed. Only this and `demo` print.

`program.py` has the table of commands; each command is one file: `add` makes its parser, `run` runs it.
Exit codes: 0 done, 1 a check found something, 2 wrong usage, 69 a service cannot be reached, 78 wrong
configuration.
"""

from bridge.cli.program import EXIT_CODES, main

__all__ = ["EXIT_CODES", "main"]
