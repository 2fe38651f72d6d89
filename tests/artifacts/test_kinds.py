"""What bytes seem to be, whatever the file is called."""

import gzip
import io
import json
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_api.artifacts.kinds import HEAD_BYTES, UNKNOWN, media_type_of

TABLE = pa.table({"a": [1, 2, 3]})


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(TABLE, out)
    return out.getvalue()


def arrow(*, stream: bool) -> bytes:
    out = io.BytesIO()
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(out, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return out.getvalue()


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        file.addfile(tarfile.TarInfo("x"))
    return out.getvalue()


def sqlite(folder: Path) -> bytes:
    connection = sqlite3.connect(folder / "x.db")
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.close()
    return (folder / "x.db").read_bytes()


def test_formats_that_libraries_write(tmp_path: Path):
    office = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    for data, media_type in (
        (parquet(), "application/vnd.apache.parquet"),
        (arrow(stream=True), "application/vnd.apache.arrow.stream"),
        (arrow(stream=False), "application/vnd.apache.arrow.file"),
        (gzip.compress(b"x"), "application/gzip"),
        (zipped("a.txt"), "application/zip"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), office),
        (tarred(), "application/x-tar"),
        (sqlite(tmp_path), "application/vnd.sqlite3"),
        (json.dumps({"a": [1]}).encode(), "application/json"),
        (json.dumps([{"a": 1}], indent=2).encode(), "application/json"),
    ):
        assert media_type_of(data[:HEAD_BYTES], name="x.txt") == media_type


@pytest.mark.parametrize(
    ("data", "name", "media_type"),
    [
        (b"%PDF-1.7\n", "x.txt", "application/pdf"),
        (b"\x7fELF\x02\x01", "harmless.csv", "application/x-executable"),
        (b"MZ\x90\0", "report.pdf", "application/x-msdownload"),
        (b"<!DOCTYPE html><script>", "data.csv", "text/html"),
        (b"\n <script>alert(1)</script>", "data.csv", "text/html"),
        (b"<!-- x --><HTML>", "x", "text/html"),
        (b'<?xml version="1.0"?>\n<svg onload="x">', "x.png", "image/svg+xml"),
        (b"<svg>", "x.png", "image/svg+xml"),
        (b"<?xml version='1.0'?><rss>", "x", "application/xml"),
        (b'{"a": 1}\n{"a": 2}\n', "x", "application/x-ndjson"),
        (b"{}", "x", "application/json"),
        (b"{% raw %}", "x", "text/plain"),
        (b"[section]\nkey=1", "x.ini", "text/plain"),
        (b"a,b\n1,2\n", "x.csv", "text/csv"),
        (b"a,b\n1,2\n", "x.parquet", "text/plain"),
        (b"\xef\xbb\xbfa,b\n", "x.CSV", "text/csv"),
        ("größer".encode()[:3], "x.md", "text/markdown"),
        (b"\0\1\2", "x.csv", UNKNOWN),
        (b"abc\x07", "x", UNKNOWN),
        (b"\xff\xfea\0", "x.txt", UNKNOWN),
        (b"", "x", "text/plain"),
    ],
)
def test_bytes_decide_and_names_only_among_texts(data: bytes, name: str, media_type: str):
    assert media_type_of(data, name=name) == media_type


def test_no_text_makes_it_slow():
    for text in (b"<!--" * 1024, b"{" * HEAD_BYTES, b"<?xml" + b"?" * 4000, b"{\n" * 2048):
        media_type_of(text, name="x")
