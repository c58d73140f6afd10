"""Rows in object storage: read as a stream, and written to files that appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_zelto.exceptions import FieldError, InvalidMetricError


class BrokenRow(NamedTuple):
    """A row that cannot be read, as it stands in the file, and why."""

    content: str
    reason: str


Row = Mapping[str, Any] | BrokenRow


def rows_of_file(uri: str, known: Iterable[str]) -> Iterator[Row]:
    """
    Read the rows of a JSON Lines, CSV or Parquet file, a few at a time.

    :param uri: anything that Airflow's ObjectStoragePath reaches; its ending names the format.
    :param known: the column names; in CSV and Parquet they are found whatever their case and underscores.
    :raises InvalidMetricError: when the ending or a column is unknown.
    """
    reader = _READERS[file_format(uri)]
    return reader(ObjectStoragePath(uri), known)


def file_format(uri: str) -> str:
    """
    Tell the format of a file by its ending.

    :raises InvalidMetricError: when the ending is unknown.
    """
    ending = PurePosixPath(urlsplit(uri).path).suffix.lower().lstrip(".")
    if ending not in _READERS:
        raise InvalidMetricError([FieldError("metrics", uri, f"a file ending in {', '.join(_READERS)}")])
    return ending


def lines_of_file(uri: str) -> Iterator[str]:
    """Read the lines of a text file that are not blank, without white space around them."""
    with _open(ObjectStoragePath(uri), "r", encoding="utf-8-sig", errors="replace") as file:
        yield from filter(None, map(str.strip, file))


def _open(path: ObjectStoragePath, mode: str, **options: Any) -> Any:
    # What the path itself opens cannot be iterated before Airflow 3.1.
    return path.fs.open(path.path, mode, **options)


def column_names(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """
    Recognise columns whatever their case and underscores: databases fold names as they like.

    :raises InvalidMetricError: naming every column that is unknown or given twice, and those that are known.
    """
    by_letters = {_letters(name): name for name in known}
    names = [by_letters.get(_letters(name), "") for name in given]
    unknown = [
        FieldError("column", name, f"known or is given twice; known are {', '.join(by_letters.values())}")
        for place, name in enumerate(given)
        if not names[place] or names[place] in names[:place]
    ]
    if unknown:
        raise InvalidMetricError(unknown)
    return names


def _letters(name: Any) -> str:
    return str(name).strip().replace("_", "").lower()


def _read_json_lines(path: ObjectStoragePath, known: Iterable[str]) -> Iterator[Row]:
    with _open(path, "rb") as file:
        for line in file:
            if line.strip():
                yield _json_row(line)


def _json_row(line: bytes) -> Row:
    text = line.decode("utf-8-sig", errors="replace").strip()
    try:
        row = json.loads(line.decode("utf-8-sig").strip())
    except (ValueError, RecursionError) as error:
        return BrokenRow(text, f"not JSON: {error}")
    return row if isinstance(row, dict) else BrokenRow(text, "not a JSON object")


def _read_csv(path: ObjectStoragePath, known: Iterable[str]) -> Iterator[Row]:
    # What is not UTF-8 becomes surrogates, which validation refuses row by row.
    with _open(path, "r", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines: list[str] = []
        # Strict, or a file that was cut within a quoted cell would pass for a whole one.
        table = csv.reader(_noted(file, lines), strict=True)
        names = column_names(next(filter(None, table), []), known)
        while True:
            lines.clear()
            try:
                cells = next(table, None)
                if cells and len(cells) != len(names):
                    raise csv.Error(f"{len(cells)} cells for {len(names)} columns")
            except csv.Error as error:
                yield BrokenRow("".join(lines).rstrip("\r\n"), str(error))
                continue
            if cells is None:
                return
            if cells:
                # CSV knows no null: an empty cell is a field that is not given.
                yield {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""}


def _noted(file: Iterable[str], lines: list[str]) -> Iterator[str]:
    """Give a file's lines, and note them for whoever has to show what could not be read."""
    for line in file:
        lines.append(line)
        yield line


def _read_parquet(path: ObjectStoragePath, known: Iterable[str]) -> Iterator[Row]:
    try:
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"Reading {path} needs pyarrow: pip install pyarrow") from error
    with _open(path, "rb") as file:
        table = ParquetFile(file)
        names = column_names(table.schema_arrow.names, known)
        for batch in table.iter_batches(batch_size=1000):
            yield from batch.rename_columns(names).to_pylist()


_READERS: Mapping[str, Callable[[ObjectStoragePath, Iterable[str]], Iterator[Row]]] = {
    "jsonl": _read_json_lines,
    "ndjson": _read_json_lines,
    "csv": _read_csv,
    "parquet": _read_parquet,
}


class JsonLinesFile:
    """
    A JSON Lines file in the making: it appears at its place whole, when it is published, or not at all.

    :param uri: anything that Airflow's ObjectStoragePath reaches.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__

    def add(self, row: Any) -> None:
        """Add a line."""
        self._spool.write(json.dumps(row, ensure_ascii=False, default=str).encode(errors="replace") + b"\n")

    def publish(self) -> None:
        """Put the file in its place, instead of one that is there."""
        target = draft = ObjectStoragePath(self.uri)
        # A local file is seen while it is written; an object store shows an object once it is complete,
        # and knows no folders: making one there can mean to ask for a bucket.
        local = target.protocol in ("", "file", "local")
        if local:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.part")
        self._spool.seek(0)
        with _open(draft, "wb") as file:
            shutil.copyfileobj(self._spool, file)
        self._spool.seek(0, io.SEEK_END)
        if local:
            draft.replace(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._spool.close()
