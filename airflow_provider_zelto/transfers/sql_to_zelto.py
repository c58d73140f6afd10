"""From any SQL database into Zelto."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowException, BaseHook

from airflow_provider_zelto.exceptions import FieldError, InvalidConnectionError, InvalidMetricError
from airflow_provider_zelto.models import NewCustomerMetric
from airflow_provider_zelto.operators.zelto import SubmitRowsOperator
from airflow_provider_zelto.rows import Row, column_names
from airflow_provider_zelto.submission import SubmissionSummary

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_ROWS_A_FETCH = 1000


class SqlToZeltoOperator(SubmitRowsOperator):
    """
    Submit one metric for each row of a query, on any database that Airflow has a connection to.

    The query names its columns by aliases: ``conversation_id``, ``label``, ``verdict``, ``score``, ``note``,
    ``metric_id``, ``external_id``, whatever their case. NULL is a field that is not given. Rows are fetched
    as a stream, with a server-side cursor on PostgreSQL and MySQL. Give the query an ORDER BY: a retry on
    Airflow 3.3 and newer then goes on where the last try stopped, and of rows for the same call and label the
    last one wins. For the rest see
    :class:`~airflow_provider_zelto.operators.zelto.BulkSubmitCustomerMetricsOperator`. API page: "Submit a
    customer metric".

    :param sql: the query, or the path of a ``.sql`` file (templated).
    :param sql_conn_id: id of the database's connection (templated).
    :param parameters: values for the query's placeholders (templated). Default: none.
    :param concurrency: how many requests are under way at once, 1–256. Default: 16.
    :param max_requests_per_second: at most so many requests start in a second. Default: no limit.
    :param max_rejects: more rejected rows than this stop the batch, and fail the task without a retry; None
        for no limit. Default: 0.
    :param rejects_path: where rejected rows are written as JSON Lines with ``row_number``, ``row`` and
        ``reason`` (templated). Default: nowhere.
    :param dry_run: validate and count the rows, and send nothing. Default: False.
    :param zelto_conn_id: id of the connection (templated). Default: ``zelto_default``.
    :return: XCom: ``submitted``, ``rejected``, ``resumed`` (rows an earlier try had stored), ``seconds`` and
        ``rejects_path``; never the rows.
    :raises InvalidMetricError: when an argument or a column is wrong; the task is not retried.
    :raises TooManyRejectsError: with the first few rejects; the task is not retried.
    :raises APIError: what stopped the batch.
    """

    template_fields: Sequence[str] = ("sql", "parameters", "sql_conn_id", "rejects_path", "zelto_conn_id")
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql", "parameters": "json"}
    ui_color = "#d9efe6"

    def __init__(
        self,
        *,
        sql: str,
        sql_conn_id: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters

    def execute(self, context: Context) -> SubmissionSummary:
        """Submit the query's rows and return the summary."""
        hook = _database_hook(self.sql_conn_id)
        return self._submit(context, lambda: self._rows(hook))

    def _rows(self, hook: Any) -> Iterator[Row]:
        with closing(hook.get_conn()) as connection, closing(_stream_cursor(connection)) as cursor:
            # Drivers differ in what they make of None.
            cursor.execute(self.sql, self.parameters) if self.parameters else cursor.execute(self.sql)
            rows = cursor.fetchmany(_ROWS_A_FETCH)
            # A server-side cursor knows its columns only after the first fetch.
            if cursor.description is None:
                raise InvalidMetricError([FieldError("sql", self.sql, "a query, which gives rows")])
            names = column_names([column[0] for column in cursor.description], NewCustomerMetric.model_fields)
            while rows:
                yield from _as_mappings(names, rows)
                rows = cursor.fetchmany(_ROWS_A_FETCH)


def _database_hook(conn_id: str) -> Any:
    connection = BaseHook.get_connection(conn_id)
    try:
        hook = connection.get_hook()
    except (AirflowException, AttributeError):  # no provider has the type, or the type has no hook
        hook = None
    if not hasattr(hook, "get_cursor"):
        raise InvalidConnectionError(
            f"Connection {conn_id!r}: conn_type: {connection.conn_type!r} is not a database, "
            "or its provider is not installed."
        )
    return hook


def _as_mappings(names: list[str], rows: Iterable[Any]) -> Iterator[Row]:
    for row in rows:
        yield dict(zip(names, row.values() if isinstance(row, Mapping) else row, strict=True))


def _stream_cursor(connection: Any) -> Any:
    """Open a cursor that leaves the rows at the server until they are fetched, where the driver has one."""
    driver = type(connection).__module__.partition(".")[0]
    if driver in ("psycopg2", "psycopg"):
        return connection.cursor("zelto")
    if driver == "MySQLdb":
        from MySQLdb.cursors import SSCursor

        return connection.cursor(SSCursor)
    cursor = connection.cursor()
    cursor.arraysize = _ROWS_A_FETCH
    return cursor
