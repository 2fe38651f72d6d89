"""Values of every type of the engine, its ends among them, and what a JSON answer has for them."""

from typing import Any

BIG = 170141183460469231731687303715884105727

SCALARS: tuple[tuple[str, Any], ...] = (
    ("true", True),
    ("(-128)::TINYINT", -128),
    ("255::UTINYINT", 255),
    ("(-32768)::SMALLINT", -32768),
    ("65535::USMALLINT", 65535),
    ("2147483647::INTEGER", 2147483647),
    ("4294967295::UINTEGER", 4294967295),
    ("9007199254740991::BIGINT", 9007199254740991),
    ("(-9223372036854775808)::BIGINT", "-9223372036854775808"),
    ("18446744073709551615::UBIGINT", "18446744073709551615"),
    ("7::HUGEINT", 7),
    (f"{BIG}::HUGEINT", str(BIG)),
    (f"(-{BIG})::HUGEINT", str(-BIG)),
    ("5::UHUGEINT", 5),
    ("340282366920938463463374607431768211455::UHUGEINT", str(2**128 - 1)),
    (
        "'123456789012345678901234567890123456789012'::BIGNUM",
        "123456789012345678901234567890123456789012",
    ),
    ("0.1::FLOAT", 0.10000000149011612),
    ("'1.7976931348623157e308'::DOUBLE", 1.7976931348623157e308),
    ("12.50::DECIMAL(10,2)", 12.5),
    (
        "9999999999999999999999999999.9999999999::DECIMAL(38,10)",
        "9999999999999999999999999999.9999999999",
    ),
    ("'goo,\"se'", 'goo,"se'),
    ("'b'::ENUM('a', 'b')", "b"),
    ("'2d89ebe6-0000-4000-8000-000000000001'::UUID", "2d89ebe6-0000-4000-8000-000000000001"),
    ("'a\\x00b'::BLOB", "YQBi"),
    ("'0010001001011100010101011010111'::BIT", "0010001001011100010101011010111"),
    ("NULL", None),
    ("'POINT(1 2)'::GEOMETRY", "POINT (1 2)"),
)

TIMES: tuple[tuple[str, Any], ...] = (
    ("'2026-11-21'::DATE", "2026-11-21"),
    ("'9999-12-31'::DATE", "9999-12-31"),
    ("'infinity'::DATE", "infinity"),
    ("'-infinity'::DATE", "-infinity"),
    ("'0044-03-15 (BC)'::DATE", "0044-03-15 (BC)"),
    ("'12345-01-01'::DATE", "12345-01-01"),
    ("'10:11:12.5'::TIME", "10:11:12.500000"),
    ("'24:00:00'::TIME", "24:00:00"),
    ("'10:11:12.123456789'::TIME_NS", "10:11:12.123456789"),
    ("'10:11:12+05:30'::TIMETZ", "10:11:12+05:30"),
    ("'24:00:00-15:59:59'::TIMETZ", "24:00:00-15:59:59"),
    ("'2026-11-21 10:00:00'::TIMESTAMP", "2026-11-21T10:00:00"),
    ("'2026-11-21 10:00:00.5'::TIMESTAMP", "2026-11-21T10:00:00.500000"),
    ("'9999-12-31 23:59:59.999999'::TIMESTAMP", "9999-12-31T23:59:59.999999"),
    ("'infinity'::TIMESTAMP", "infinity"),
    ("'12345-01-02 03:04:05'::TIMESTAMP", "12345-01-02 03:04:05"),
    ("'2026-11-21 10:00:00+02'::TIMESTAMPTZ", "2026-11-21T08:00:00Z"),
    ("'-infinity'::TIMESTAMPTZ", "-infinity"),
    ("'infinity'::TIMESTAMPTZ", "infinity"),
    ("'0044-03-15 (BC) 01:00:00+00'::TIMESTAMPTZ", "0044-03-15 (BC) 01:00:00+00"),
    ("'2026-11-21 10:00:00'::TIMESTAMP_S", "2026-11-21T10:00:00"),
    ("'infinity'::TIMESTAMP_S", "infinity"),
    ("'2026-11-21 10:00:00.123'::TIMESTAMP_MS", "2026-11-21T10:00:00.123000"),
    ("'2026-11-21 10:00:00.123456789'::TIMESTAMP_NS", "2026-11-21T10:00:00.123456789"),
    ("'2026-11-21 10:00:00.123456789+02'::TIMESTAMPTZ_NS", "2026-11-21T08:00:00.123456789Z"),
    ("INTERVAL '13 months'", "P1Y1M"),
    ("INTERVAL '36 hours'", "P1DT43200S"),
    ("INTERVAL '-5 seconds'", "-PT5S"),
    ("INTERVAL '1 month -1 day 0.5 seconds'", "P1M-1DT0.5S"),
    ("INTERVAL '2147483647 days'", "P2147483647D"),
    ("INTERVAL '9223372036854775807 microseconds'", "P106751991DT14454.775807S"),
)  # fmt: skip

NESTED: tuple[tuple[str, Any], ...] = (
    ("[1, NULL, 3]", [1, None, 3]),
    ("[1, 2]::INTEGER[2]", [1, 2]),
    ("[9007199254740993]", ["9007199254740993"]),
    ("['2026-11-21'::DATE, 'infinity'::DATE, NULL]", ["2026-11-21", "infinity", None]),
    ("['2026-11-21 10:00:00'::TIMESTAMP]", ["2026-11-21T10:00:00"]),
    ("['10:00:00+02'::TIMETZ]", ["10:00:00+02:00"]),
    ("['101'::BIT, NULL]", ["101", None]),
    ("['2026-11-21 10:00:00.123456789'::TIMESTAMP_NS]", ["2026-11-21T10:00:00.123456789"]),
    ("[INTERVAL '13 months', NULL]::INTERVAL[2]", ["P1Y1M", None]),
    ("{'i': INTERVAL '1 month', 'n': {'d': ['-infinity'::DATE]}}",
     {"i": "P1M", "n": {"d": ["-infinity"]}}),
    ("""{'it''s "a"': '24:00:00'::TIME}""", {'it\'s "a"': "24:00:00"}),
    ("row(1, 'infinity'::DATE)", [1, "infinity"]),
    ("[row(1, 'x')]", [[1, "x"]]),
    ("MAP {[1,2]: 'x'}", {"[1, 2]": "x"}),
    ("MAP { {'s': 'x'}: 1}", {"{'s': x}": 1}),
    ("MAP {true: INTERVAL '2 months'}", {"true": "P2M"}),
    ("MAP {'2026-11-21'::DATE: '12:00:00'::TIME}", {"2026-11-21": "12:00:00"}),
    ("5::UNION(d DATE, n INTEGER)", 5),
    ("'infinity'::DATE::UNION(d DATE, n INTEGER)", "infinity"),
    ("['2026-11-21'::DATE::UNION(d DATE, n INTEGER), 5]", ["2026-11-21", 5]),
    ("[]", []),
    ("{'a': NULL}", {"a": None}),
    ("NULL::STRUCT(a DATE)", None),
    ("""'{"a": 12345678901234567890, "b": [1, "9007199254740993"]}'::JSON""",
     {"a": "12345678901234567890", "b": [1, "9007199254740993"]}),
    ("{'a': 'infinity'::DATE, 'b': [1]}::VARIANT", {"a": "infinity", "b": [1]}),
    (f"[{BIG}::HUGEINT]", [str(BIG)]),
    ("[340282366920938463463374607431768211455::UHUGEINT]", [str(2**128 - 1)]),
    ("['a'::BLOB]", ["YQ=="]),
    ("['POINT(1 2)'::GEOMETRY]", ["POINT (1 2)"]),
    ("['12'::BIGNUM]", ["12"]),
    ("['a'::ENUM('a', 'b')]", ["a"]),
    ("[12.50::DECIMAL(10,2)]", [12.5]),
)  # fmt: skip

GROUPS: dict[str, tuple[tuple[str, Any], ...]] = {
    "scalars": SCALARS,
    "times": TIMES,
    "nested": NESTED,
}


def query_of(cases: tuple[tuple[str, Any], ...]) -> str:
    """One row with all of the values."""
    return "SELECT " + ", ".join(f"{sql} AS c{place}" for place, (sql, _) in enumerate(cases))
