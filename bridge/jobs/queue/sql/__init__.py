"""The queue in a `jobs` table: SQLite, MySQL, MariaDB, PostgreSQL."""
