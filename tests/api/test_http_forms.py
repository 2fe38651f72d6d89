"""The same rows as JSON, CSV and Arrow, over real objects."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import obstore
import pyarrow as pa
import pytest

from lake_api.app import create_app
from lake_api.query.reader_store import open_whole
from lake_api.settings import Settings
from lake_api.web.accept import preferred
from lake_assets.catalog import Catalog, LakeLocation, data_key, version_key
from tests.api.conftest import database_in

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
DAY = date(2026, 11, 21)
ALL = "SELECT * FROM agent_run_log ORDER BY run_id"


@pytest.fixture(scope="module")
def lake(open_lake: Any) -> Iterator[Any]:
    """A lake that no test writes to."""
    with open_lake() as lake:
        lake.write("agent_run_log", DAY, ["aurora", "sage", "nova"], cost_usd=Decimal("1.500000"))
        yield lake


def ask(lake: Any, sql: str, form: str, **more: Any) -> httpx.Response:
    answer = lake.ask(sql, headers={"Accept": form}, **more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == form
    assert "Accept" in answer.headers["vary"].split(",")
    return answer


def arrow_table(answer: httpx.Response) -> pa.Table:
    return pa.ipc.open_stream(answer.content).read_all()


def csv_rows(answer: httpx.Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode(), newline="")))


def test_the_three_forms_have_the_same_rows(lake: Any) -> None:
    body = ask(lake, ALL, JSON).json()
    table = arrow_table(ask(lake, ALL, ARROW))
    header, *rows = csv_rows(ask(lake, ALL, CSV))
    assert table.column_names == body["columns"] == header
    for named in ("run_id", "agent_id"):
        place = header.index(named)
        values = [row[place] for row in body["rows"]]
        assert table.column(named).to_pylist() == values == [row[place] for row in rows]


def test_arrow_has_the_engines_own_types(lake: Any) -> None:
    table = arrow_table(ask(lake, ALL, ARROW))
    assert table.schema.field("cost_usd").type == pa.decimal128(18, 6)
    assert table.schema.field("created_at").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("date").type == pa.date32()
    first = table.slice(0, 1).to_pylist()[0]
    assert first["cost_usd"] == Decimal("1.500000")
    assert first["created_at"] == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert first["date"] == DAY


def test_arrow_says_of_itself_what_json_says_beside_the_rows(lake: Any) -> None:
    answer = ask(lake, ALL, ARROW, limit=2)
    body = ask(lake, ALL, JSON, limit=2).json()
    table = arrow_table(answer)
    told = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert told["lake.query_id"] == answer.headers["x-lake-query-id"]
    assert float(told["lake.elapsed_ms"]) == float(answer.headers["x-lake-elapsed-ms"]) > 0
    assert told["lake.truncated"] == answer.headers["x-lake-truncated"] == "true"
    assert told["lake.row_count"] == answer.headers["x-lake-row-count"] == "2"
    assert table.num_rows == 2
    assert json.loads(told["lake.column_types"]) == body["column_types"]
    assert json.loads(told["lake.freshness"]) == body["freshness"]
    assert json.loads(answer.headers["x-lake-freshness"]) == body["freshness"]
    assert json.loads(told["lake.warnings"]) == body["warnings"] == []


def test_an_answer_that_is_given_again_tells_its_own_call(lake: Any) -> None:
    first, again = ask(lake, ALL, ARROW), ask(lake, ALL, ARROW)
    ids = [arrow_table(one).schema.metadata[b"lake.query_id"].decode() for one in (first, again)]
    assert ids == [one.headers["x-lake-query-id"] for one in (first, again)]
    assert ids[0] != ids[1]
    assert arrow_table(first).equals(arrow_table(again))


def test_text_that_looks_like_a_slot_is_not_filled(lake: Any) -> None:
    slot = "query-id".ljust(32, "-")
    answer = ask(lake, f"SELECT '{slot}' AS text", ARROW)
    assert arrow_table(answer).column("text").to_pylist() == [slot]


def test_csv_is_rfc_4180(lake: Any) -> None:
    answer = ask(
        lake,
        """
        SELECT 'a,b' AS "x,y", 'say "hi"' AS quotes, 'two
lines' AS lines, NULL AS nothing,
            '' AS empty, '=1+1' AS formula, '-3' AS minus, '@cmd' AS at, '+1' AS plus, 'é😀' AS wide
        """,
        CSV,
    )
    assert answer.headers["content-type"] == "text/csv; header=present; charset=utf-8"
    assert answer.content.decode() == (
        '"x,y",quotes,lines,nothing,empty,formula,minus,at,plus,wide\r\n'
        '"a,b","say ""hi""","two\nlines",,"",=1+1,-3,@cmd,+1,é😀\r\n'
    )


def test_csv_values_are_exact(lake: Any) -> None:
    answer = ask(
        lake,
        """
        SELECT TIMESTAMPTZ '2026-11-21 12:00:00+02' AS t, DATE '2026-11-21' AS d, true AS b,
            9223372036854775807 AS big, 0.000001::DECIMAL(18,6) AS small, 1e300::DOUBLE AS f,
            'nan'::DOUBLE AS n, '-inf'::DOUBLE AS i, [1, 2] AS l, {'a': 'x'} AS s, 'ab'::BLOB AS y
        """,
        CSV,
    )
    assert csv_rows(answer)[1] == [
        "2026-11-21T10:00:00Z", "2026-11-21", "true", "9223372036854775807", "0.000001", "1e+300",
        "NaN", "-Infinity", "[1,2]", '{"a":"x"}', "YWI=",
    ]  # fmt: skip


def test_a_lone_null_is_a_line_of_its_own(lake: Any) -> None:
    answer = ask(lake, "SELECT unnest([NULL, 'x', '']) AS v", CSV)
    assert answer.content == b'v\r\n""\r\nx\r\n""\r\n'


@pytest.mark.parametrize("form", [CSV, ARROW])
def test_no_rows_are_columns_only(lake: Any, form: str) -> None:
    answer = ask(lake, "SELECT run_id, cost_usd FROM agent_run_log WHERE false", form)
    if form == CSV:
        assert answer.content == b"run_id,cost_usd\r\n"
    else:
        assert arrow_table(answer).schema.names == ["run_id", "cost_usd"]
    assert answer.headers["x-lake-row-count"] == "0"


@pytest.mark.parametrize("form", [JSON, CSV, ARROW])
def test_two_columns_may_share_a_name(lake: Any, form: str) -> None:
    sql = "SELECT 1 AS a, 2 AS a"
    for text in (sql, f"{sql} ORDER BY 1", f"{sql} ORDER BY 1; -- why"):
        answer = ask(lake, text, form)
        if form == JSON:
            found = answer.json()["columns"]
        elif form == CSV:
            found = csv_rows(answer)[0]
        else:
            found = arrow_table(answer).column_names
        assert found == ["a", "a"]


@pytest.mark.parametrize("form", [CSV, ARROW])
@pytest.mark.parametrize("order", ["", " ORDER BY v DESC"])
def test_the_caps_hold_in_every_form(lake: Any, form: str, order: str) -> None:
    answer = ask(lake, f"SELECT range AS v FROM range(5000){order}", form, limit=1000)
    assert answer.headers["x-lake-row-count"] == "1000"
    assert answer.headers["x-lake-truncated"] == "true"
    exact = ask(lake, f"SELECT range AS v FROM range(1000){order}", form, limit=1000)
    assert exact.headers["x-lake-truncated"] == "false"
    if form == CSV:
        rows = [int(row[0]) for row in csv_rows(answer)[1:]]
    else:
        rows = arrow_table(answer).column("v").to_pylist()
    assert rows == (list(range(4999, 3999, -1)) if order else list(range(1000)))


@pytest.mark.parametrize("form", [CSV, ARROW])
def test_the_byte_cap_cuts_at_a_row_and_says_so(start_lake: Any, form: str) -> None:
    lake = start_lake(LAKE_RESULT_BYTES="10000")
    answer = ask(lake, "SELECT repeat('x', 990) AS v FROM range(100)", form)
    count = int(answer.headers["x-lake-row-count"])
    assert 8 <= count <= 10
    assert answer.headers["x-lake-truncated"] == "true"
    (warning,) = json.loads(answer.headers["x-lake-warnings"])
    assert f"cut after {count} rows" in warning
    if form == CSV:
        assert len(csv_rows(answer)) == count + 1
    else:
        table = arrow_table(answer)
        assert table.num_rows == count
        assert json.loads(table.schema.metadata[b"lake.warnings"]) == [warning]


@pytest.mark.parametrize("form", [CSV, ARROW])
def test_what_could_not_be_run_is_a_503_with_the_same_code(
    start_lake: Any, problem: Any, form: str
) -> None:
    lake = start_lake(LAKE_RESULT_BYTES="100")
    sql = "SELECT repeat('x', 9000) AS v"
    in_json = lake.ask(sql).json()
    assert (in_json["source"], in_json["error"]["code"]) == ("unavailable", "result_too_large")
    body = problem(lake.ask(sql, headers={"Accept": form}), 503, "result_too_large")
    assert body["hint"] == in_json["error"]["hint"]
    assert len(body["query_id"]) == 32


@pytest.mark.parametrize("form", [CSV, ARROW])
@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT agentid FROM agent_run_log", "unknown_column"),
        ("SELECT CAST(agent_id AS INT) AS n FROM agent_run_log", "type_mismatch"),
        ("SELECT CAST(agent_id AS INT) AS n FROM agent_run_log ORDER BY n", "type_mismatch"),
        ("SELECT * FROM no_such_table", "unknown_table"),
    ],
)
def test_refusals_are_problems_in_every_form(
    lake: Any, problem: Any, form: str, sql: str, code: str
) -> None:
    problem(lake.ask(sql, headers={"Accept": form}), 400, code)


def test_storage_that_is_away_is_a_503_in_csv(catalog: Catalog, serve: Any, tmp_path: Any) -> None:
    settings = Settings.from_mapping(
        {"LAKE_CACHE_DIR": str(tmp_path), "LAKE_DATABASE_URL": database_in(tmp_path)}
    )
    nowhere = LakeLocation(endpoint="http://127.0.0.1:9", access_key="a", secret_key="b")
    app = create_app(settings=settings, catalog=catalog, location=nowhere)
    with serve(app) as url, closing(httpx.Client(base_url=url, timeout=60)) as client:
        answer = client.post(
            "/api/v1/internal/lake/query", json={"sql": ALL}, headers={"Accept": CSV}
        )
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["retry"]) == ("storage_unavailable", True)


def test_a_day_that_is_found_bad_now_is_in_the_schema_too(start_lake: Any) -> None:
    lake = start_lake()
    lake.write("agent_run_log", DAY, ["aurora"])
    dataset = lake.catalog["agent_run_log"]
    store = open_whole(lake.bucket)
    obstore.put(store, data_key(dataset, date(2026, 11, 20)), b"no parquet at all")
    obstore.put(store, version_key(dataset), b"another")
    told: list[str] = []

    def found() -> bool:
        answer = ask(lake, ALL, ARROW)
        told[:] = json.loads(arrow_table(answer).schema.metadata[b"lake.warnings"])
        assert told == json.loads(answer.headers["x-lake-warnings"])
        return bool(told)

    lake.poll(found)
    assert "left out 2026-11-20" in told[0]


def test_warnings_of_any_language_fit_a_header(lake: Any) -> None:
    answer = lake.ask(
        """SELECT 'nan'::DOUBLE AS "é😀" FROM agent_run_log WHERE date > '2030-01-01'
        """,
        headers={"Accept": CSV},
    )
    assert "2026-11-21" in json.loads(answer.headers["x-lake-warnings"])[0]
    many = ", ".join(f"1 AS c{number}" for number in range(300))
    wide = ask(lake, f"SELECT {many}", CSV)
    assert len(wide.headers["x-lake-column-types"]) <= 4_010
    assert set(json.loads(wide.headers["x-lake-column-types"])) == {"INTEGER"}


def test_a_dry_run_is_json(lake: Any, problem: Any) -> None:
    both = lake.ask(ALL, dry_run=True, headers={"Accept": f"{CSV}, {JSON};q=0.1"})
    assert both.json()["plan"]["objects"] == 1
    refused = lake.ask(ALL, dry_run=True, headers={"Accept": CSV})
    assert JSON in problem(refused, 406, "not_acceptable")["hint"]


@pytest.mark.parametrize(
    ("accept", "status", "media_type"),
    [
        ("*/*", 200, JSON),
        ("text/*", 200, CSV),
        (f"{CSV};q=0.4, {ARROW};q=0.5", 200, ARROW),
        ("text/html, */*;q=0.1", 200, JSON),
        ("text/html", 406, "application/problem+json"),
        (f"{CSV};q=0", 406, "application/problem+json"),
    ],
)
def test_the_header_chooses(lake: Any, accept: str, status: int, media_type: str) -> None:
    answer = lake.ask(ALL, headers={"Accept": accept})
    assert answer.status_code == status
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert "x-ratelimit-remaining" in answer.headers


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("APPLICATION/JSON", JSON),
        ("application/*", JSON),
        ("application/*;q=0.5, text/csv;q=0.6", CSV),
        ("*/*, application/json;q=0", CSV),
        ("*/*;q=0", None),
        ("text/csv;header=present;q=0.9,application/json;q=0.8", CSV),
        ("text/csv;q=abc", None),
        ("text/csv;q=2", None),
        ("text/csv;q=nan", None),
        ("text/csv, application/json", JSON),
        (",,", None),
        ("application/problem+json", None),
    ],
)
def test_accept_is_read_as_the_rfc_says(accept: str | None, expected: str | None) -> None:
    assert preferred(accept, [JSON, CSV]) == expected
