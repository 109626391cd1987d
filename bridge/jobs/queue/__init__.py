"""Where jobs come from and end: reserve, release, delete, bury."""
