"""Files that a locked worker streams out: what is in them, in every form and compression."""

import gzip
import io
import json
import uuid
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from lake_api.errors import QueryRejected, QueryUnavailable
from lake_api.query.messages import Chunk, Compression, FileForm, Form, StoredRows
from lake_api.query.results import Extract, ExtractOrder
from tests.query.conftest import Lake

SQL = "SELECT run_id, agent_id, tokens, cost_usd, created_at, date FROM agent_run_log ORDER BY ALL"
TYPES = """
    SELECT i, i::HUGEINT * 10000000000000000 AS wide, (i / 3)::DECIMAL(18, 6) AS d,
           i / 7.0::DOUBLE AS f, 'x"' || chr(10) || i AS s, CASE WHEN i > 1 THEN i END AS n,
           INTERVAL 36 HOUR AS iv, [i, i + 1] AS l, {'a': i, 'b': 'ü'} AS st, i % 2 = 0 AS flag,
           'a,b'::BLOB AS raw, DATE '2026-01-02' + i::INTEGER AS day, TIME '10:11:12' AS t,
           TIMESTAMP '2026-01-02 03:04:05.678' AS ts, '101'::BIT AS bits, MAP {'k': i} AS m,
           '' AS empty
    FROM range(3) r(i)
"""


class Kept:
    """Takes chunks."""

    def __init__(self) -> None:
        self.data = b""
        self.rows: list[int] = []

    async def write(self, chunk: Chunk) -> None:
        self.data += chunk.data
        self.rows.append(chunk.rows)


@pytest.fixture
def extract(shared_lake: Lake) -> Callable[..., tuple[Extract, Kept]]:
    def extracted(sql: str | None, form: FileForm, **more: Any) -> tuple[Extract, Kept]:
        kept = Kept()
        order = ExtractOrder(
            form=form,
            checked=shared_lake.guard.check(sql) if sql else None,
            **{"row_cap": 100_000, "byte_cap": 10**9, "timeout_s": 30, "agent": "a", **more},
        )
        return shared_lake.background.run(shared_lake.engine.extract(order, write=kept.write)), kept

    return extracted


@pytest.fixture
def keep(shared_lake: Lake, extract: Any) -> Any:
    """A kept result of a text: what is known of it, and where it is."""

    def kept(sql: str, **more: Any) -> tuple[Extract, StoredRows]:
        made, file = extract(sql, FileForm.ROWS, **more)
        path = shared_lake.engine.kept_directory / f"{uuid.uuid4().hex}.arrow"
        path.write_bytes(file.data)
        stored = StoredRows(file=str(path), columns=made.columns, column_types=made.column_types)
        return made, stored

    return kept


def test_csv_is_what_the_query_route_gives(extract: Any, shared_lake: Lake) -> None:
    for sql in (TYPES, "SELECT NULL AS a FROM range(2) r(i)"):
        _, file = extract(sql, FileForm.CSV)
        asked = shared_lake.query(sql, form=Form.CSV).document.decode()
        assert file.data.decode() == asked


def test_json_lines_are_the_rows_with_exact_numbers(extract: Any) -> None:
    made, file = extract(TYPES, FileForm.JSONL)
    rows = [json.loads(line, parse_float=str, parse_int=str) for line in file.data.splitlines()]
    assert made.row_count == len(rows) == 3
    assert rows[2]["wide"] == "20000000000000000"
    assert [row["d"] for row in rows] == ["0.000000", "0.333333", "0.666667"]
    assert rows[1]["s"] == 'x"\n1'
    assert [row["n"] for row in rows] == [None, None, "2"]
    assert rows[1]["iv"] == "P1DT43200S"
    assert rows[1]["l"] == ["1", "2"]
    assert rows[1]["st"] == {"a": "1", "b": "ü"}
    assert rows[1]["ts"] == "2026-01-02T03:04:05.678000"
    assert rows[1]["bits"] == "101"
    assert rows[1]["m"] == {"k": "1"}


def test_numbers_that_json_has_not_are_null(extract: Any) -> None:
    _, file = extract(
        "SELECT CASE i WHEN 0 THEN 'nan'::DOUBLE WHEN 1 THEN '-inf'::DOUBLE ELSE 0.1 END AS f "
        "FROM range(3) r(i)",
        FileForm.JSONL,
    )
    assert file.data == b'{"f":null}\n{"f":null}\n{"f":0.1}\n'


def test_parquet_keeps_types(extract: Any) -> None:
    _, file = extract(TYPES, FileForm.PARQUET, compression=Compression.ZSTD)
    table = pq.read_table(io.BytesIO(file.data))
    assert table.schema.field("d").type == pa.decimal128(18, 6)
    assert table.schema.field("iv").type == pa.string()
    assert table.column("wide").to_pylist()[2] == 20000000000000000
    assert table.column("iv").to_pylist()[0] == "P1DT43200S"
    assert table.column("st").to_pylist()[1] == {"a": 1, "b": "ü"}
    metadata = pq.ParquetFile(io.BytesIO(file.data)).metadata
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_arrow_keeps_types(extract: Any) -> None:
    _, file = extract(SQL, FileForm.ARROW)
    table = pa.ipc.open_stream(file.data).read_all()
    assert table.num_rows == 30
    assert table.schema.field("created_at").type == pa.timestamp("us", tz="UTC")


def test_avro_is_read_by_its_own_library(extract: Any) -> None:
    _, file = extract(TYPES, FileForm.AVRO)
    rows = list(fastavro.reader(io.BytesIO(file.data)))
    assert rows[1]["d"] == Decimal("0.333333")
    assert rows[1]["wide"] == Decimal(10000000000000000)
    assert rows[1]["ts"] == datetime(2026, 1, 2, 3, 4, 5, 678000)  # noqa: DTZ001 - it has no zone
    assert rows[1]["day"] == date(2026, 1, 3)
    assert rows[1]["t"] == time(10, 11, 12)
    assert rows[1]["iv"] == "P1DT43200S"
    assert rows[1]["st"] == '{"a":1,"b":"ü"}'
    assert rows[0]["n"] is None


def test_names_that_avro_cant_have(extract: Any) -> None:
    _, file = extract('SELECT 1 AS "a b", 2 AS "a-b", 3 AS ok, 4 AS ok', FileForm.AVRO)
    assert list(fastavro.reader(io.BytesIO(file.data))) == [
        {"_a_b": 1, "_a_b_2": 2, "ok": 3, "ok_2": 4}
    ]


@pytest.mark.parametrize("form", list(FileForm))
@pytest.mark.parametrize("sql", [SQL, "SELECT id FROM never_written"])
def test_every_form_has_every_row(extract: Any, form: FileForm, sql: str) -> None:
    made, file = extract(sql, form)
    assert made.row_count == (30 if sql == SQL else 0)
    assert _rows_in(form, file.data) == made.row_count
    assert not made.truncated


def _rows_in(form: FileForm, data: bytes) -> int:
    source = io.BytesIO(data)
    match form:
        case FileForm.ROWS:
            return pa.ipc.open_file(source).read_all().num_rows
        case FileForm.CSV:
            return pyarrow.csv.read_csv(source).num_rows
        case FileForm.JSONL:
            return len(data.splitlines())
        case FileForm.PARQUET:
            return pq.read_table(source).num_rows
        case FileForm.ARROW:
            return pa.ipc.open_stream(source).read_all().num_rows
        case FileForm.AVRO:
            return len(list(fastavro.reader(source)))


@pytest.mark.parametrize("form", [FileForm.CSV, FileForm.ARROW, FileForm.AVRO])
def test_other_forms_are_compressed_whole(extract: Any, form: FileForm) -> None:
    _, plain = extract(SQL, form)
    _, zipped = extract(SQL, form, compression=Compression.GZIP)
    _, packed = extract(SQL, form, compression=Compression.ZSTD)
    unpacked = pa.CompressedInputStream(pa.BufferReader(packed.data), "zstd").read()
    for data in (gzip.decompress(zipped.data), unpacked):
        # An Avro file has a random mark in it.
        assert len(data) == len(plain.data)
        assert data == plain.data or form is FileForm.AVRO


def test_a_cap_of_rows_is_proved_by_one_more(extract: Any) -> None:
    for cap, truncated in ((29, True), (30, False), (31, False)):
        made, file = extract(SQL, FileForm.CSV, row_cap=cap)
        assert (made.row_count, made.truncated) == (min(cap, 30), truncated)
        assert _rows_in(FileForm.CSV, file.data) == min(cap, 30)


def test_a_cap_of_bytes_ends_the_file_whole(extract: Any) -> None:
    sql = "SELECT i, repeat('x', 100) AS s FROM range(100000) r(i)"
    made, file = extract(sql, FileForm.CSV, byte_cap=2_000_000)
    assert made.truncated
    assert _rows_in(FileForm.CSV, file.data) == made.row_count < 100_000
    assert "bytes" in made.warnings[0]


def test_chunks_tell_how_far_it_is(extract: Any) -> None:
    sql = "SELECT i, repeat('x', 100) AS s FROM range(100000) r(i)"
    _, file = extract(sql, FileForm.CSV)
    assert file.rows == sorted(file.rows)
    assert len(set(file.rows)) > 5


@pytest.mark.parametrize("first", [0, 1, 8_191, 8_192, 16_383, 19_990, 20_000, 30_000])
def test_a_page_is_the_rows_from_its_first(keep: Any, shared_lake: Lake, first: int) -> None:
    _, stored = keep("SELECT i, i % 7 AS m FROM range(20000) r(i)")
    answer = shared_lake.background.run(
        shared_lake.engine.page(stored, first_row=first, rows=100, byte_cap=10**6)
    )
    expected = [[i, i % 7] for i in range(first, min(first + 100, 20_000))]
    assert json.loads(answer.rows_json) == expected


def test_a_page_has_the_values_that_a_query_gives(keep: Any, shared_lake: Lake) -> None:
    made, stored = keep(TYPES)
    asked = shared_lake.query(TYPES)
    answer = shared_lake.background.run(
        shared_lake.engine.page(
            stored, first_row=0, rows=3, byte_cap=10**6, text_columns=made.text_columns
        )
    )
    assert (made.columns, made.column_types) == (asked.columns, asked.column_types)
    assert json.loads(answer.rows_json) == json.loads(asked.rows_json)


def test_columns_that_must_be_text_are_so_on_every_page(keep: Any, shared_lake: Lake) -> None:
    made, stored = keep(
        "SELECT i, CASE WHEN i = 19000 THEN 9007199254740993 ELSE i END AS big, "
        "CASE WHEN i = 3 THEN 123456789012.123456 ELSE 0.5 END::DECIMAL(18,6) AS d "
        "FROM range(20000) r(i)"
    )
    assert made.text_columns == (1, 2)
    answer = shared_lake.background.run(
        shared_lake.engine.page(
            stored, first_row=0, rows=1, byte_cap=10**6, text_columns=made.text_columns
        )
    )
    assert json.loads(answer.rows_json) == [[0, "0", "0.500000"]]


def test_a_kept_result_becomes_a_file(keep: Any, extract: Any) -> None:
    _, stored = keep(TYPES)
    made, file = extract(None, FileForm.CSV, stored=stored)
    assert made.row_count == 3
    assert file.data == extract(TYPES, FileForm.CSV)[1].data


def test_what_fails_on_the_way_is_told_in_the_callers_terms(extract: Any) -> None:
    with pytest.raises(QueryRejected) as caught:
        extract("SELECT strptime(i::VARCHAR, '%Y-%m-%d %H') FROM range(90000) r(i)", FileForm.CSV)
    assert caught.value.code in {"invalid_input", "type_mismatch"}
    with pytest.raises(QueryRejected) as caught:
        extract("SELECT agent_idd FROM agent_run_log", FileForm.CSV)
    assert caught.value.code == "unknown_column"


def test_too_much_memory_is_told_and_the_worker_replaced(extract: Any) -> None:
    with pytest.raises(QueryUnavailable) as caught:
        extract(
            "SELECT list(i || repeat('x', 300)) FROM range(1000000) r(i), range(3)", FileForm.CSV
        )
    assert caught.value.code == "out_of_memory"
    assert extract(SQL, FileForm.CSV)[0].row_count == 30


def test_a_deadline_stops_the_engine(extract: Any) -> None:
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b"
    with pytest.raises(QueryUnavailable) as caught:
        extract(endless, FileForm.CSV, timeout_s=0.3)
    assert caught.value.code == "query_timeout"
    assert extract(SQL, FileForm.CSV)[0].row_count == 30


def test_a_reader_that_fails_stops_the_engine_in_the_middle(shared_lake: Lake) -> None:
    class NoRoom(Exception):
        pass

    async def refuse(_: Chunk) -> None:
        raise NoRoom

    order = ExtractOrder(
        form=FileForm.CSV,
        checked=shared_lake.guard.check("SELECT i, i::VARCHAR || 'abc' FROM range(1000000) r(i)"),
        row_cap=10**7,
        byte_cap=10**9,
        timeout_s=30,
        agent="a",
    )
    before = shared_lake.engine.stats().worker_respawns
    with pytest.raises(NoRoom):
        shared_lake.background.run(shared_lake.engine.extract(order, write=refuse))
    # The worker was told, or replaced where it did not hear it in time; the lake serves on.
    assert shared_lake.rows("SELECT count(*) FROM agent_run_log") == [[30]]
    assert shared_lake.engine.stats().worker_respawns <= before + 1


def test_a_value_beyond_its_type_after_rows_were_sent_ends_the_file(extract: Any) -> None:
    sql = """
        SELECT hash(i) AS h, CASE i WHEN 899999 THEN 'infinity'::DATE ELSE '2026-01-01' END AS day
        FROM range(900000) r(i)
    """
    with pytest.raises(QueryRejected) as caught:
        extract(sql, FileForm.ARROW, row_cap=10**6)
    assert (caught.value.code, caught.value.fragment) == ("value_not_representable", "day")


def test_a_text_of_the_callers_own_is_not_taken_for_a_value_beyond_its_type(extract: Any) -> None:
    words = "lake value of column 7 is beyond its type"
    sql = f"SELECT CAST(CASE WHEN i < 200000 THEN i::VARCHAR ELSE '{words}' END AS BIGINT) AS a "
    with pytest.raises(QueryRejected) as refused:
        extract(f"{sql}FROM range(300000) r(i)", FileForm.CSV)
    assert refused.value.code == "type_mismatch"


def test_a_column_with_a_value_beyond_its_type_is_text_and_a_warning_names_it(
    extract: Any,
) -> None:
    day = "CASE i WHEN 1 THEN 'infinity'::DATE ELSE '2026-01-01' END AS day"
    sql = f"SELECT i, {day} FROM range(2) r(i)"
    made, file = extract(sql, FileForm.PARQUET)
    assert pq.read_table(io.BytesIO(file.data)).to_pydict() == {
        "i": [0, 1],
        "day": ["2026-01-01", "infinity"],
    }
    assert "`day`" in made.warnings[0]


def test_what_is_nested_too_deeply_is_told_with_its_column(extract: Any, shared_lake: Lake) -> None:
    sql = "SELECT 1 AS a, CAST(repeat('[', 3000) || repeat(']', 3000) AS JSON) AS deep"
    before = shared_lake.engine.stats().worker_respawns
    for ask in (lambda: extract(sql, FileForm.JSONL), lambda: shared_lake.query(sql)):
        with pytest.raises(QueryRejected) as caught:
            ask()
        assert (caught.value.code, caught.value.fragment) == ("value_not_representable", "deep")
    assert extract(sql, FileForm.CSV)[1].data.count(b"[") == 3_000
    assert shared_lake.engine.stats().worker_respawns == before


def test_numbers_that_json_lines_have_not_are_told(extract: Any) -> None:
    made, file = extract("SELECT 'nan'::DOUBLE AS f, ['inf'::DOUBLE] AS l", FileForm.JSONL)
    assert file.data == b'{"f":null,"l":[null]}\n'
    assert [warning.split("`")[1] for warning in made.warnings] == ["f", "l"]


def test_numbers_inside_json_that_json_lines_have_not_are_null(extract: Any) -> None:
    made, file = extract("SELECT {'n': 'nan'::DOUBLE, 's': 'NaN'}::VARIANT AS v", FileForm.JSONL)
    assert json.loads(file.data) == {"v": {"n": None, "s": "NaN"}}
    assert len(made.warnings) == 1


def test_a_comment_may_follow_the_semicolon(shared_lake: Lake, extract: Any) -> None:
    sql = "SELECT [INTERVAL '13 months'] AS a, 1 AS a; -- last"
    assert json.loads(shared_lake.query(sql).rows_json) == [[["P1Y1M"], 1]]
    assert extract(sql, FileForm.CSV)[1].data == b'a,a_2\r\n"[""P1Y1M""]",1\r\n'
