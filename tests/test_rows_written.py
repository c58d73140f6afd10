from __future__ import annotations

import json
import os
import uuid
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_zelto import rows
from airflow_provider_zelto.rows import JsonLinesFile, rows_of_file
from tests.object_store import memory_store


@pytest.fixture
def store():
    with memory_store() as store:
        yield store


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.fixture(params=["{}", "file://{}"])
def place(request, tmp_path):
    """A place for a file, as a plain path and as a URI."""
    path = tmp_path / "in" / "a folder" / "out.jsonl"
    return path, request.param.format(path)


def test_a_file_is_not_there_before_it_is_published(place):
    path, uri = place
    with JsonLinesFile(uri) as file:
        file.add({"a": 1})
        assert not path.parent.exists()
        file.publish()
        assert lines(path) == [{"a": 1}]
    assert os.listdir(path.parent) == ["out.jsonl"]


def test_a_file_may_be_published_again_with_more_in_it(place):
    path, uri = place
    with JsonLinesFile(uri) as file:
        for number in range(3):
            file.publish()
            assert lines(path) == [{"number": before} for before in range(number)]
            file.add({"number": number})


def test_a_file_that_is_never_published_leaves_the_old_one(place):
    path, uri = place
    path.parent.mkdir(parents=True)
    path.write_text("old")
    with JsonLinesFile(uri) as file:
        file.add({"a": 1})
    assert path.read_text() == "old"


def test_an_error_while_it_is_put_in_its_place_leaves_the_old_file(place, mocker):
    path, uri = place
    path.parent.mkdir(parents=True)
    path.write_text("old")

    def breaks_off(source, target):
        target.write(source.read(10))
        raise OSError("no space left")

    mocker.patch.object(rows.shutil, "copyfileobj", autospec=True, side_effect=breaks_off)
    with JsonLinesFile(uri) as file:
        file.add({"a": "long enough"})
        with pytest.raises(OSError, match="no space left"):
            file.publish()
    assert path.read_text() == "old"


def test_a_file_in_an_object_store_appears_and_replaces_an_older_one(store):
    store.pipe_file("bucket/out.jsonl", b"old")
    with JsonLinesFile("memory://bucket/out.jsonl") as file:
        file.add({"a": 1})
        file.publish()
    assert store.cat_file("bucket/out.jsonl") == b'{"a": 1}\n'


def test_values_that_json_does_not_know_are_written_as_text(tmp_path):
    id_ = uuid.uuid4()
    with JsonLinesFile(str(tmp_path / "out.jsonl")) as file:
        file.add({"id": id_, "score": Decimal("99.5"), "half": "\ud800", "name": "zażółć"})
        file.publish()
    assert lines(tmp_path / "out.jsonl") == [{"id": str(id_), "score": "99.5", "half": "?", "name": "zażółć"}]
    assert "zażółć" in (tmp_path / "out.jsonl").read_text()


@pytest.mark.usefixtures("store")
@given(st.lists(st.dictionaries(st.text(), st.none() | st.text() | st.floats(allow_nan=False), max_size=3)))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_written_as_json_lines_is_read_back(written):
    with JsonLinesFile("memory://bucket/any.jsonl") as file:
        for row in written:
            file.add(row)
        file.publish()
    assert list(rows_of_file("memory://bucket/any.jsonl", ())) == written
