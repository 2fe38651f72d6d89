import contextlib
import json
from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_api.query.worker.encode import EncodedRows, RowTooLarge, encode_rows


def encode(rows, *types, byte_cap=1_000_000) -> EncodedRows:
    names = [f"c{number}" for number, _ in enumerate(types)]
    return encode_rows(rows, columns=names, types=types, byte_cap=byte_cap)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("NULL", None),
        ("true", True),
        ("'naïve 😀 \"x\"'", 'naïve 😀 "x"'),
        ("1::TINYINT", 1),
        ("9007199254740991::BIGINT", 9007199254740991),
        ("9007199254740992::BIGINT", "9007199254740992"),
        ("-9007199254740993::BIGINT", "-9007199254740993"),
        ("sum(3::BIGINT)", 3),
        ("170141183460469231731687303715884105727::HUGEINT", str(2**127 - 1)),
        ("18446744073709551615::UBIGINT", str(2**64 - 1)),
        ("0.1::DECIMAL(18,6)", 0.1),
        ("12.500000::DECIMAL(18,6)", 12.5),
        ("123456789012345678.5::DECIMAL(38,6)", "123456789012345678.500000"),
        ("1.5::DOUBLE", 1.5),
        ("'nan'::DOUBLE", None),
        ("'inf'::DOUBLE", None),
        ("DATE '2026-11-21'", "2026-11-21"),
        ("TIMESTAMP '2026-11-21 10:00:00'", "2026-11-21T10:00:00"),
        ("TIMESTAMP '2026-11-21 10:00:00.000001'", "2026-11-21T10:00:00.000001"),
        ("TIMESTAMPTZ '2026-11-21 10:00:00+02'", "2026-11-21T08:00:00Z"),
        ("TIMESTAMP_S '2026-11-21 10:00:00'", "2026-11-21T10:00:00"),
        ("TIME '10:00:01.5'", "10:00:01.500000"),
        ("INTERVAL 3 HOUR", "PT10800S"),
        ("INTERVAL 2 DAY", "P2D"),
        ("UUID '2d89ebe6-0000-4000-8000-000000000001'", "2d89ebe6-0000-4000-8000-000000000001"),
        ("'ab'::BLOB", "YWI="),
        ("'101'::BIT", "101"),
        ("'x'::ENUM('x', 'y')", "x"),
        ("[1, NULL, 3]", [1, None, 3]),
        ("[9007199254740993::BIGINT]", ["9007199254740993"]),
        ("[0.1::DECIMAL(18,6)]", [0.1]),
        ("['nan'::DOUBLE]", [None]),
        ("[TIMESTAMPTZ '2026-11-21 10:00:00+02']", ["2026-11-21T08:00:00Z"]),
        ("array_value(1, 2)", [1, 2]),
        ("{'a': 1, 'b': {'c': DATE '2026-11-21'}}", {"a": 1, "b": {"c": "2026-11-21"}}),
        ("MAP {'k': 1}", {"k": 1}),
        ("MAP {1: 'x'}", {"1": "x"}),
        ("MAP {DATE '2026-11-21': 'x'}", {"2026-11-21": "x"}),
        ("""'{"a": [1, null]}'::JSON""", {"a": [1, None]}),
        ("""'"text"'::JSON""", "text"),
    ],
)
def test_what_the_engine_gives_becomes_json(expression, expected):
    with contextlib.closing(duckdb.connect()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SELECT {expression}")
        types = [str(column[1]) for column in connection.description]
        assert json.loads(encode(connection.fetchall(), *types).json) == [[expected]]


def test_a_column_with_one_big_number_is_text_throughout():
    encoded = encode([(1, 1), (2**60, 2), (None, 3)], "BIGINT", "BIGINT")
    assert json.loads(encoded.json) == [["1", 1], [str(2**60), 2], [None, 3]]
    assert encoded.warnings == (
        "column `c0` has numbers that JavaScript can't hold exactly: "
        "all of its values are given as text",
    )


def test_lost_numbers_are_told_once():
    encoded = encode([(float("nan"),), (float("inf"),)], "DOUBLE")
    assert encoded.warnings == ("column `c0` has NaN or infinite values: they are given as null",)


def test_the_byte_cap_cuts_at_a_row():
    rows = [("x" * 10,) for _ in range(10)]
    whole = encode(rows, "VARCHAR")
    assert not whole.is_cut
    exact = encode(rows, "VARCHAR", byte_cap=len(whole.json) + 1)
    assert exact.json == whole.json
    cut = encode(rows, "VARCHAR", byte_cap=len(whole.json) - 1)
    assert (cut.is_cut, cut.count, len(json.loads(cut.json))) == (True, 9, 9)


def test_the_byte_cap_holds_when_numbers_turn_to_text():
    rows = [(1, "x")] * 20 + [(2**60, "x")]
    cut = encode(rows, "BIGINT", "VARCHAR", byte_cap=100)
    assert cut.is_cut
    assert len(cut.json) <= 100
    assert {row[0] for row in json.loads(cut.json)} <= {1, "1"}


def test_a_first_row_beyond_the_cap():
    with pytest.raises(RowTooLarge):
        encode([("x" * 200,)], "VARCHAR", byte_cap=100)


def test_no_more_rows_are_taken_than_fit():
    taken = []

    def rows():
        for number in range(1000):
            taken.append(number)
            yield ("x" * 50,)

    encode(rows(), "VARCHAR", byte_cap=500)
    assert len(taken) < 12


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=6), min_size=1))
def test_decimals_survive_exactly(values):
    values = [value for value in values if abs(value) < 10**31]
    rows = json.loads(encode([(value,) for value in values], "DECIMAL(38,6)").json)
    assert [
        Decimal(repr(row[0]) if isinstance(row[0], float) else row[0]) for row in rows
    ] == values


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_survive_exactly(values):
    rows = json.loads(encode([(value,) for value in values], "BIGINT").json, parse_int=float)
    assert [int(row[0]) for row in rows] == values


@given(st.datetimes(timezones=st.just(UTC)))
def test_timestamps_are_utc_with_z(value):
    (row,) = json.loads(encode([(value,)], "TIMESTAMP WITH TIME ZONE").json)
    assert row[0].endswith("Z")
    assert datetime.fromisoformat(row[0]) == value
