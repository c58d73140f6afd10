from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.providers.postgres.hooks import postgres as postgres_hooks

from airflow_provider_zelto.exceptions import (
    AuthenticationError,
    InvalidConnectionError,
    InvalidMetricError,
    TooManyRejectsError,
)
from airflow_provider_zelto.transfers import sql_to_zelto
from airflow_provider_zelto.transfers.sql_to_zelto import SqlToZeltoOperator
from tests.batches import StateStore, judge, make_rows, rows_stored, submits
from tests.dags import zelto_sql
from tests.transfers.databases import PostgreSQL, SQLite, postgresql_server

# The hook takes psycopg where it is there and SQLAlchemy is new enough for it, and else psycopg2.
POSTGRESQL_DRIVERS = (
    ["psycopg2", "psycopg"] if getattr(postgres_hooks, "USE_PSYCOPG3", False) else ["psycopg2"]
)

QUERY = "SELECT conversation_id, label, score, verdict, note, external_id FROM scores ORDER BY id"


@pytest.fixture(scope="session")
def postgresql():
    with postgresql_server() as server:
        yield server


@pytest.fixture
def use_driver(monkeypatch):
    """Have Airflow's hook take one of the drivers."""

    def use(driver):
        monkeypatch.setattr(postgres_hooks, "USE_PSYCOPG3", driver == "psycopg", raising=False)

    return use


@pytest.fixture
def connect_to(monkeypatch):
    """Make a connection to a database, with more fields if a test wants them."""

    def make(database, conn_id="warehouse", **fields):
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({**database.connection, **fields}))
        return database

    return make


@pytest.fixture(params=["sqlite", *POSTGRESQL_DRIVERS])
def database(request, tmp_path, use_driver, connect_to):
    if request.param == "sqlite":
        return connect_to(SQLite(tmp_path))
    use_driver(request.param)
    return connect_to(PostgreSQL(request.getfixturevalue("postgresql")))


@pytest.fixture(params=POSTGRESQL_DRIVERS)
def warehouse(request, postgresql, use_driver, connect_to):
    use_driver(request.param)
    return connect_to(PostgreSQL(postgresql))


@pytest.fixture
def lite(tmp_path, connect_to):
    return connect_to(SQLite(tmp_path))


@pytest.fixture
def calls(emulator):
    return [emulator.add_conversation() for _ in range(10)]


def fill(database, rows):
    """Make a table of scores."""
    database.run(
        "CREATE TABLE scores (id integer, conversation_id text, label text, score real, verdict text, "
        "note text, external_id text)"
    )
    names = ("conversation_id", "label", "score", "verdict", "note", "external_id")
    database.run(
        "INSERT INTO scores VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [(number, *(row.get(name) for name in names)) for number, row in enumerate(rows)],
    )


def transfer(sql=QUERY, **options):
    return SqlToZeltoOperator(task_id="transfer", sql=sql, **{"sql_conn_id": "warehouse", **options})


def counts(summary):
    return summary["submitted"], summary["rejected"], summary["resumed"]


def numbers_up_to(count):
    """Give a query that counts, for ever if need be, and hands each number on when it is asked for."""
    return f"""
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
        SELECT '6f2d8b0e-3c51-4a7e-9b1d-0c8e5f4a7d21' AS conversation_id, 'Label ' || n AS label,
               CASE WHEN n = 3500 THEN -1 ELSE 1 END AS score
          FROM numbers
    """


def test_each_row_of_a_query_is_submitted(database, emulator, calls):
    rows = make_rows(calls, 70)
    fill(database, rows)
    summary = transfer().execute({})
    assert list(summary) == ["submitted", "rejected", "resumed", "seconds", "rejects_path"]
    assert counts(summary) == (70, 0, 0)
    judge(emulator, rows)


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_all_rows_are_fetched_however_many_there_are(database, count):
    summary = transfer(
        f"SELECT * FROM ({numbers_up_to(count or 1)}) AS n LIMIT {count}", dry_run=True
    ).execute({})
    assert counts(summary) == (count, 0, 0)


def test_rows_are_read_as_a_stream(database):
    with pytest.raises(TooManyRejectsError, match="row 3500: score: -1 is not a number from 0 to 100"):
        transfer(numbers_up_to(10**12), dry_run=True).execute({})


def test_rows_of_postgresql_stay_at_the_server_until_they_are_fetched(warehouse, emulator, call):
    # A server-side cursor sees itself in this list, while any other is not in it.
    note = "(SELECT name FROM pg_cursors) AS note"
    sql = f"SELECT '{call}' AS conversation_id, 'Tone' AS label, 1 AS score, {note}"
    transfer(sql).execute({})
    assert [row["note"] for row in rows_stored(emulator)] == ["zelto"]


def test_parameters_reach_the_database_as_values(database, emulator, calls):
    rows = make_rows(calls, 20)
    fill(database, rows)
    where = " AND ".join(
        f"{column} = {database.placeholder.format(name)}"
        for column, name in (("label", "which"), ("note", "what"))
    )
    parameters = {"which": "Label 0", "what": "note 7"}
    transfer(f"{QUERY.split(' ORDER')[0]} WHERE {where}", parameters=parameters).execute({})
    judge(emulator, [rows[7]])
    parameters = {"which": "Label 0' OR '1' = '1", "what": "note 7"}
    assert (
        counts(transfer(f"{QUERY.split(' ORDER')[0]} WHERE {where}", parameters=parameters).execute({}))[0]
        == 0
    )


def test_parameters_may_be_a_list(database, emulator, calls):
    rows = make_rows(calls, 20)
    fill(database, rows)
    placeholder = "?" if database.connection["conn_type"] == "sqlite" else "%s"
    transfer(f"{QUERY.split(' ORDER')[0]} WHERE note = {placeholder}", parameters=["note 3"]).execute({})
    judge(emulator, [rows[3]])


def test_a_percent_sign_needs_no_care_without_parameters(database, emulator, calls):
    rows = make_rows(calls, 20)
    fill(database, rows)
    transfer(f"{QUERY.split(' ORDER')[0]} WHERE note LIKE 'note 1_%'").execute({})
    judge(emulator, rows[10:])


def test_null_is_a_field_that_is_not_given(database, emulator, call):
    fill(database, [{"conversation_id": call, "label": "Tone", "verdict": "pass"}])
    transfer().execute({})
    assert rows_stored(emulator) == [{"conversation_id": call, "label": "Tone", "verdict": "pass"}]


@pytest.mark.parametrize(
    "names",
    ["conversation_id, label, score", "CONVERSATION_ID, LABEL, SCORE", '"conversationId", "Label", "Score"'],
)
def test_columns_are_found_whatever_their_case(database, emulator, call, names):
    first, second, third = names.split(", ")
    transfer(f"SELECT '{call}' AS {first}, 'Tone' AS {second}, 5 AS {third}").execute({})
    assert rows_stored(emulator) == [{"conversation_id": call, "label": "Tone", "score": 5}]


def test_values_of_the_database_s_own_types_are_taken(warehouse, emulator, call):
    sql = f"""
        SELECT '{call}'::uuid AS conversation_id, 'Tone'::varchar(10) AS label, 99.50::numeric(5, 2) AS score,
               '11111111-2222-4333-8444-555555555555'::uuid AS metric_id
    """
    transfer(sql).execute({})
    [entry] = submits(emulator)
    metric_id = "11111111-2222-4333-8444-555555555555"
    assert entry["body"] == {"label": "Tone", "score": 99.5, "metricId": metric_id}


def test_rejected_rows_of_the_database_s_own_types_are_written_down(warehouse, emulator, tmp_path):
    unknown = "00000000-0000-4000-8000-000000000000"
    path = tmp_path / "rejects.jsonl"
    sql = (
        f"SELECT '{unknown}'::uuid AS conversation_id, 'Tone' AS label, 99.50::numeric AS score, NULL AS note"
    )
    assert counts(transfer(sql, max_rejects=1, rejects_path=str(path)).execute({})) == (0, 1, 0)
    row = json.loads(path.read_text())["row"]
    assert row == {"conversation_id": unknown, "label": "Tone", "score": "99.50", "note": None}


@pytest.mark.parametrize("cursor", ["dictcursor", "realdictcursor", "namedtuplecursor"])
def test_the_connection_may_ask_for_rows_in_another_shape(
    warehouse, connect_to, emulator, calls, cursor, request
):
    driver = request.node.callspec.params["warehouse"]
    if driver == "psycopg" and cursor == "realdictcursor":
        cursor = "dictcursor"  # psycopg knows but one of these two
    connect_to(warehouse, extra={"cursor": cursor})
    rows = make_rows(calls, 20)
    fill(warehouse, rows)
    transfer().execute({})
    judge(emulator, rows)


@pytest.mark.parametrize(
    ("columns", "bad"),
    [
        ("1 AS points, 'Tone' AS label", "points"),
        ("'a' AS label, 'b' AS label", "label"),
        ("count(*)", "count"),
    ],
)
def test_an_unknown_column_fails_the_task_before_anything_is_sent(database, emulator, columns, bad):
    with pytest.raises(
        InvalidMetricError, match=rf"column: '{bad}.* is not known or is given twice; known are conv"
    ):
        transfer(f"SELECT {columns}").execute({})
    assert submits(emulator, None) == []


def test_what_the_database_refuses_fails_the_task_with_its_own_words(database, emulator):
    fill(database, [])
    with pytest.raises(Exception, match=r"no such column: missing|\"missing\" does not exist"):
        transfer("SELECT missing FROM scores").execute({})
    assert submits(emulator, None) == []


def test_a_statement_that_gives_no_rows_is_refused_and_not_committed(lite, emulator, calls):
    fill(lite, make_rows(calls, 3))
    with pytest.raises(
        InvalidMetricError, match="sql: 'DELETE FROM scores' is not a query, which gives rows"
    ):
        transfer("DELETE FROM scores").execute({})
    assert lite.run("SELECT count(*) FROM scores") == [(3,)]


@pytest.mark.parametrize("conn_type", ["generic", "zelto", "no_such_type"])
def test_a_connection_that_is_no_database_fails_the_task_without_a_retry(emulator, monkeypatch, conn_type):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": conn_type, "host": "localhost"}))
    with pytest.raises(InvalidConnectionError) as caught:
        transfer().execute({})
    assert str(caught.value) == (
        f"Connection 'warehouse': conn_type: '{conn_type}' is not a database, "
        "or its provider is not installed."
    )


@pytest.mark.usefixtures("airflow_db")
def test_a_connection_that_is_not_there_is_named(emulator):
    with pytest.raises(AirflowNotFoundException, match="nowhere"):
        transfer(sql_conn_id="nowhere").execute({})


def test_the_database_is_left_whatever_happens(warehouse, emulator, calls):
    fill(warehouse, make_rows(calls, 1500))
    transfer(dry_run=True).execute({})
    emulator.fault(status=401)
    with pytest.raises(AuthenticationError):
        transfer().execute({})
    with pytest.raises(Exception, match="missing"):
        transfer("SELECT missing FROM scores").execute({})
    others = (
        "SELECT query FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    assert warehouse.run(others) == []


def test_a_retry_goes_on_where_the_last_try_stopped_if_the_rows_come_in_the_same_order(database, emulator):
    calls = [emulator.add_conversation() for _ in range(100)]
    rows, store = make_rows(calls, 100), StateStore()
    fill(database, rows)
    emulator.fault(status=401, path=calls[60])
    with pytest.raises(AuthenticationError):
        transfer(concurrency=1).execute({"task_state_store": store})
    emulator.clear_faults()
    kept = dict(store)
    assert counts(transfer().execute({"task_state_store": store})) == (40, 0, 60)
    judge(emulator, rows)
    other_order = transfer(f"{QUERY} DESC")
    assert counts(other_order.execute({"task_state_store": StateStore(kept)})) == (100, 0, 0)


def test_the_query_its_parameters_and_the_connection_may_come_from_templates(
    lite, emulator, calls, run_dag, tmp_path
):
    lite.run("CREATE TABLE tonight (id integer, call_id text, label text, score integer)")
    scores = [(number, call, "Tone", 10 * number) for number, call in enumerate(calls)]
    lite.run("INSERT INTO tonight VALUES (%s, %s, %s, %s)", scores)
    run = run_dag(zelto_sql.dag, table="tonight", lowest=70, folder=str(tmp_path))
    assert run.states == {"submit": "success"}
    summary = run.xcom("submit")
    assert (*counts(summary), summary["rejects_path"]) == (3, 0, 0, f"{tmp_path}/submit.jsonl")
    assert [row["score"] for row in rows_stored(emulator)] == [70, 80, 90]


def test_a_literal_option_that_is_wrong_fails_when_the_dag_is_parsed():
    with pytest.raises(InvalidMetricError, match="concurrency: 0 is not a whole number from 1 to 256"):
        transfer(concurrency=0)


class Connection:
    """Tells which kind of cursor it is asked for."""

    def cursor(self, kind="plain"):
        return SimpleNamespace(kind=kind, arraysize=1)


def test_mysql_is_asked_for_a_cursor_that_leaves_the_rows_at_the_server(monkeypatch):
    cursors = ModuleType("MySQLdb.cursors")
    cursors.SSCursor = object()
    monkeypatch.setitem(sys.modules, "MySQLdb", ModuleType("MySQLdb"))
    monkeypatch.setitem(sys.modules, "MySQLdb.cursors", cursors)
    connection = type("Connection", (Connection,), {"__module__": "MySQLdb.connections"})()
    assert sql_to_zelto._stream_cursor(connection).kind is cursors.SSCursor


def test_any_other_database_is_asked_for_many_rows_at_a_time():
    cursor = sql_to_zelto._stream_cursor(Connection())
    assert (cursor.kind, cursor.arraysize) == ("plain", 1000)
