from __future__ import annotations

import gzip
import io
import json
import sys
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_zelto import rows
from airflow_provider_zelto.exceptions import InvalidMetricError
from airflow_provider_zelto.models import NewCustomerMetric
from airflow_provider_zelto.rows import BrokenRow, column_names, lines_of_file, rows_of_file
from tests.object_store import memory_store

COLUMNS = list(NewCustomerMetric.model_fields)
CALL = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
METRIC = {"conversation_id": CALL, "label": "Tone", "score": 5}


@pytest.fixture
def store():
    with memory_store() as store:
        yield store


@pytest.fixture
def write(tmp_path):
    """Write a file into a folder of the test's own; give its path."""

    def written(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return written


def read(uri, columns=COLUMNS):
    return list(rows_of_file(uri, columns))


def csv_lines(*lines, ending="\n"):
    return ending.join(lines) + ending


@pytest.mark.parametrize(
    ("uri", "format_"),
    [
        ("s3://bucket/scores.jsonl", "jsonl"),
        ("file:///data/scores.2026.ndjson", "ndjson"),
        ("/data/SCORES.CSV", "csv"),
        ("s3://conn_id@bucket/scores.parquet?versionId=3.x", "parquet"),
    ],
)
def test_the_ending_names_the_format(uri, format_):
    assert rows.file_format(uri) == format_


@pytest.mark.parametrize(
    "uri", ["s3://bucket/scores.jsonl.gz", "scores.csv.zip", "s3://bucket/scores", "scores.json", "csv", ""]
)
def test_another_ending_is_an_error_that_lists_those_that_are_known(uri):
    with pytest.raises(InvalidMetricError) as caught:
        rows.file_format(uri)
    assert str(caught.value) == f"metrics: {uri!r} is not a file ending in jsonl, ndjson, csv, parquet"


def test_a_compressed_file_is_not_taken_for_text(write):
    uri = write("scores.csv.gz", gzip.compress(b"label\nTone\n"))
    with pytest.raises(InvalidMetricError, match="a file ending in"):
        read(uri)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path, ending):
    with pytest.raises(FileNotFoundError, match=f"nowhere.{ending}"):
        read(str(tmp_path / f"nowhere.{ending}"))


def test_a_plain_path_and_a_file_uri_are_the_same(write):
    path = write("scores.jsonl", json.dumps(METRIC))
    assert read(path) == read(Path(path).as_uri()) == [METRIC]


def test_a_file_in_an_object_store_is_read(store):
    store.pipe_file("bucket/scores.csv", b"label,score\nTone,5\n")
    store.pipe_file("bucket/scores.jsonl", b'{"label": "Tone"}\n')
    assert read("memory://bucket/scores.csv") == [{"label": "Tone", "score": "5"}]
    assert read("memory://bucket/scores.jsonl") == [{"label": "Tone"}]


def test_json_lines_are_given_as_they_are(write):
    given_rows = [METRIC, {"conversationId": CALL, "note": None, "score": 99.5}, {"unknown": [1]}, {}]
    assert read(write("a.jsonl", "".join(f"{json.dumps(row)}\n" for row in given_rows))) == given_rows


@pytest.mark.parametrize("content", ["", "\n", "\r\n \n\t\n"])
def test_json_lines_may_be_empty(write, content):
    assert read(write("a.jsonl", content)) == []


def test_byte_order_mark_blank_lines_and_windows_line_ends_are_no_part_of_a_row(write):
    content = b'\xef\xbb\xbf{"label": "a"}\r\n\r\n  {"label": "b"}  \r\n{"label": "c"}'
    assert read(write("a.jsonl", content)) == [{"label": label} for label in "abc"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"label": "To', "not JSON: Unterminated string"),
        (b"{label: 1}", "not JSON: Expecting property name"),
        (b'{"label": "a"} {"label": "b"}', "not JSON: Extra data"),
        (b"[1, 2]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"label": "\xe9"}', "not JSON: 'utf-8' codec can't decode"),
        (b"[" * 100_000, "not JSON: "),
        (b'{"score": 1' + b"0" * 5000 + b"}", "not JSON: Exceeds the limit"),
    ],
)
def test_a_line_that_is_no_json_object_is_a_broken_row_and_the_others_are_read(write, line, reason):
    first, broken, last = read(write("a.jsonl", b'{"label": "a"}\n' + line + b'\n{"label": "b"}\n'))
    assert (first, last) == ({"label": "a"}, {"label": "b"})
    assert isinstance(broken, BrokenRow)
    assert broken.reason.startswith(reason)
    assert broken.content == line.decode(errors="replace")


def test_a_last_line_that_was_cut_off_is_a_broken_row(write):
    *whole, cut = read(write("a.jsonl", json.dumps(METRIC) + "\n" + json.dumps(METRIC)[:-10]))
    assert whole == [METRIC]
    assert isinstance(cut, BrokenRow)


def test_csv_cells_are_text_and_empty_ones_are_not_given(write):
    content = csv_lines(
        "conversation_id,label,score,verdict,note", f"{CALL},Tone,5,,", f"{CALL},Tone,,pass,ok"
    )
    assert read(write("a.csv", content)) == [
        {"conversation_id": CALL, "label": "Tone", "score": "5"},
        {"conversation_id": CALL, "label": "Tone", "verdict": "pass", "note": "ok"},
    ]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_csv_may_have_any_line_ends_a_byte_order_mark_and_blank_lines(write, ending):
    content = "\ufeff" + csv_lines("", "label,score", "", "Tone,5", "", "Pace,6", ending=ending)
    assert read(write("a.csv", content)) == [
        {"label": "Tone", "score": "5"},
        {"label": "Pace", "score": "6"},
    ]


def test_quoted_csv_cells_may_hold_commas_quotes_and_line_ends(write):
    content = csv_lines('label,"note"', '"Tone, pace","two\r\nlines, ""quoted"""')
    assert read(write("a.csv", content)) == [{"label": "Tone, pace", "note": 'two\r\nlines, "quoted"'}]


@pytest.mark.parametrize(
    "header",
    [
        "conversation_id,metric_id,external_id",
        "conversationId,metricId,externalId",
        "CONVERSATION_ID, MetricId ,EXTERNALID",
    ],
)
def test_column_names_are_found_whatever_their_case_and_underscores(write, header):
    assert read(write("a.csv", csv_lines(header, "a,b,c"))) == [
        {"conversation_id": "a", "metric_id": "b", "external_id": "c"}
    ]


@pytest.mark.parametrize("content", ["", "\n", "label,score", "label,score\n", "label,score\r\n\r\n"])
def test_csv_may_have_no_rows(write, content):
    assert read(write("a.csv", content)) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Pace", "1 cells for 2 columns"),
        ("Pace,6,pass", "3 cells for 2 columns"),
        ('"Pace"s,6', "',' expected after '\"'"),
        ("x" * 200_000 + ",6", "field larger than field limit"),
    ],
)
def test_a_csv_line_with_the_wrong_cells_is_a_broken_row_and_the_others_are_read(write, line, reason):
    first, broken, last = read(write("a.csv", csv_lines("label,score", "Tone,5", line, "Hold,7")))
    assert (first, last) == ({"label": "Tone", "score": "5"}, {"label": "Hold", "score": "7"})
    assert broken.reason.startswith(reason)
    assert broken.content == line


@pytest.mark.parametrize("cut", ['Pace,"good and f', "Pace"])
def test_a_last_csv_line_that_was_cut_off_is_a_broken_row(write, cut):
    *whole, last = read(write("a.csv", csv_lines("label,note", "Tone,fine") + cut))
    assert whole == [{"label": "Tone", "note": "fine"}]
    assert isinstance(last, BrokenRow)
    assert last.content == cut


def test_a_quote_that_is_never_closed_swallows_no_rows_silently(write):
    lines = [f"Label {number},fine" for number in range(10_000)]
    content = csv_lines("label,note", 'Tone,"fine', *lines)
    broken, *others = read(write("a.csv", content))
    assert isinstance(broken, BrokenRow)
    in_broken = broken.content.count("\n")
    assert [row["label"] for row in others] == [f"Label {number}" for number in range(in_broken, 10_000)]


def test_text_that_is_not_utf_8_is_refused_row_by_row(write):
    content = b"conversation_id,label,score\n%b,Tone,5\n%b,caf\xe9,5\n" % (CALL.encode(), CALL.encode())
    good, bad = read(write("a.csv", content))
    assert NewCustomerMetric.check(good).label == "Tone"
    with pytest.raises(InvalidMetricError, match=r"label: .* is not text that UTF-8 can carry"):
        NewCustomerMetric.check(bad)


@pytest.mark.parametrize(
    ("header", "bad"),
    [
        ("label,mark", ["mark"]),
        ("mark,label,Remark,", ["mark", "Remark", ""]),
        ("label,score,Label", ["Label"]),
        ("metric_id,metricId", ["metricId"]),
    ],
)
def test_a_column_that_is_unknown_or_given_twice_is_an_error_that_lists_the_known_ones(write, header, bad):
    uri = write("a.csv", csv_lines(header, "a" + ",a" * header.count(",")))
    with pytest.raises(InvalidMetricError) as caught:
        read(uri)
    assert [error.value for error in caught.value.errors] == bad
    assert f"known are {', '.join(COLUMNS)}" in str(caught.value)


def test_a_column_name_may_be_anything_a_database_gives():
    with pytest.raises(InvalidMetricError, match="column: None is not known"):
        column_names([None, "label"], COLUMNS)


def parquet(**columns):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def test_parquet_values_keep_their_types_and_nulls(write):
    content = parquet(
        conversationId=[CALL, CALL],
        LABEL=pa.array(["Tone", "Pace"]).dictionary_encode(),
        score=pa.array([Decimal("99.50"), None], pa.decimal128(5, 2)),
        verdict=[None, "pass"],
    )
    found = read(write("a.parquet", content))
    assert found == [
        {"conversation_id": CALL, "label": "Tone", "score": Decimal("99.50"), "verdict": None},
        {"conversation_id": CALL, "label": "Pace", "score": None, "verdict": "pass"},
    ]
    assert [NewCustomerMetric.check(row).score for row in found] == [99.5, None]


def test_parquet_is_read_some_rows_at_a_time_in_order(write):
    found = read(write("a.parquet", parquet(label=[str(number) for number in range(2500)])))
    assert [row["label"] for row in found] == [str(number) for number in range(2500)]


def test_parquet_may_have_no_rows(write):
    assert read(write("a.parquet", parquet(label=pa.array([], pa.string())))) == []


def test_an_unknown_parquet_column_is_an_error_that_lists_the_known_ones(write):
    with pytest.raises(InvalidMetricError, match=r"column: 'mark' is not known.*known are conversation_id"):
        read(write("a.parquet", parquet(label=["a"], mark=[1])))


def test_what_is_no_parquet_is_an_error(write):
    with pytest.raises(pa.ArrowInvalid, match="magic bytes"):
        read(write("a.parquet", b"PAR1 and no more"))


def test_parquet_without_pyarrow_is_an_error_that_says_how_to_get_it(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pyarrow"):
        read(write("a.parquet", parquet(label=["a"])))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, ending):
    path = tmp_path / f"big.{ending}"
    note = "n" * 200
    count = 15_000
    if ending == "parquet":
        table = pa.table({"label": [str(number) for number in range(count)], "note": [note] * count})
        pq.write_table(table, path, row_group_size=2_000)
        del table
    else:
        line = f"Tone,{note}\n" if ending == "csv" else f'{{"label": "Tone", "note": "{note}"}}\n'
        path.write_text(("label,note\n" if ending == "csv" else "") + line * count)
    tracemalloc.start()
    try:
        assert sum(1 for _ in rows_of_file(str(path), COLUMNS)) == count
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000  # the file alone has 3 MB


def test_lines_are_given_without_white_space_and_blank_ones_left_out(write):
    content = f"\ufeff{CALL}\r\n\r\n  second  \n\t\nthird"
    assert list(lines_of_file(write("ids.txt", content))) == [CALL, "second", "third"]


def test_lines_that_are_not_utf_8_do_not_hide_the_others(write):
    found = list(lines_of_file(write("ids.txt", b"caf\xe9\nsecond\n")))
    assert found == ["caf\ufffd", "second"]
