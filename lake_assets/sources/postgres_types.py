"""How a column of a Postgres type is read as the type that it is declared with.

Belongs here: one policy per Postgres type and declared type, as data; its SQL; its sentence in the
documentation.
Does not belong here: reading rows (`platform`), deciding on single values (`postgres_values`).

A pair without a policy is refused before any row is read. In SQL a policy only asks for forms that
Postgres gives without rounding and without an error, so that no value can end a statement.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from lake_assets.catalog import ColumnType


class Decode(Enum):
    """What is left to do after the driver: see `postgres_values`."""

    AS_IS = "the driver's value"
    CAST = "a cast that loses nothing"
    WHOLE = "a whole number, written out"
    NEAREST = "a number, written out, to the nearest float64"
    MOMENT = "microseconds, some of which stand for no moment"
    DAY = "days, some of which stand for no day"
    CHECKED_JSON = "text that must be JSON"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One policy. `sql` has `{}` for the quoted column; `unfit` says what values do not fit."""

    sql: str = "{}"
    decode: Decode = Decode.AS_IS
    policy: str = "exact"
    unfit: str = ""


OTHER = "other"
"""Every type that is not named: enums, arrays, ranges, composites, `inet`, and so on."""

_EXACT = Reading()
_CAST = Reading(decode=Decode.CAST)
_AS_TEXT = Reading(sql="{}::text", policy="text")
_AS_JSON = Reading(
    sql="to_json({})::text", policy="text: `to_json`, so that arrays and composites are JSON"
)
_NO_MOMENT = "`infinity`, `-infinity` and moments after 294247-01-10 become null and are counted"
_NO_DECIMAL = "`NaN`, infinities, more than 12 digits before or 6 after the point are refused"
_DECIMAL_TEXT = Reading(sql="{}::text", decode=Decode.CAST, unfit=_NO_DECIMAL)
_WHOLE_TEXT = Reading(
    sql="{}::text", decode=Decode.WHOLE, unfit="fractions and what int64 can't hold are refused"
)
_NO_NUMBER = "what is no number is refused"

_STRING: Mapping[str, Reading] = {
    "text": _EXACT,
    "varchar": _EXACT,
    "bpchar": Reading(sql="{}::text", policy="text without the blanks that fill it up"),
    OTHER: _AS_TEXT,
}
_JSON: Mapping[str, Reading] = {
    "json": Reading(sql="{}::text", policy="text, exact: key order, repeated keys, all digits"),
    "jsonb": Reading(sql="{}::text", policy="text, exact: all digits"),
    **dict.fromkeys(
        ("text", "varchar", "bpchar"),
        Reading(
            sql="{}::text",
            decode=Decode.CHECKED_JSON,
            policy="text, exact",
            unfit="what is no JSON is refused",
        ),
    ),
    OTHER: _AS_JSON,
}
_OIDS = (
    "oid",
    "regclass",
    "regcollation",
    "regconfig",
    "regdatabase",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
)
_INT64: Mapping[str, Reading] = {
    "int8": _EXACT,
    "int4": _CAST,
    "int2": _CAST,
    **dict.fromkeys(_OIDS, Reading(sql="{}::oid::int8")),
    **dict.fromkeys(("xid", "cid", "xid8", "numeric"), _WHOLE_TEXT),
    "money": Reading(
        sql="{}::numeric::text", decode=Decode.WHOLE, unfit="amounts with a fraction are refused"
    ),
    "float4": Reading(decode=Decode.CAST, unfit="fractions, `NaN`, infinities are refused"),
    "float8": Reading(decode=Decode.CAST, unfit="fractions, `NaN`, infinities are refused"),
    **dict.fromkeys(
        ("text", "varchar", "bpchar"),
        Reading(sql="{}::text", decode=Decode.WHOLE, unfit="what is no whole number is refused"),
    ),
}
_FLOAT64: Mapping[str, Reading] = {
    "float8": _EXACT,
    "float4": _CAST,
    "int4": _CAST,
    "int2": _CAST,
    "int8": Reading(decode=Decode.CAST, unfit="numbers beyond 2^53 are refused"),
    "numeric": Reading(
        sql="{}::text",
        decode=Decode.NEAREST,
        policy="nearest",
        unfit="numbers beyond 1.8e308 are refused",
    ),
    "money": Reading(sql="{}::numeric::text", decode=Decode.NEAREST, policy="nearest"),
    **dict.fromkeys(
        ("text", "varchar", "bpchar"),
        Reading(sql="{}::text", decode=Decode.NEAREST, policy="nearest", unfit=_NO_NUMBER),
    ),
}
_DECIMAL: Mapping[str, Reading] = {
    # Text is also what the driver makes of NUMERIC, only slower.
    "numeric": _DECIMAL_TEXT,
    "money": Reading(
        sql="{}::numeric::text", decode=Decode.CAST, unfit="more than 12 digits are refused"
    ),
    "int8": Reading(decode=Decode.CAST, unfit="more than 12 digits are refused"),
    "int4": _CAST,
    "int2": _CAST,
    # The shortest text of a float: a cast to NUMERIC would round it.
    "float8": _DECIMAL_TEXT,
    "float4": _DECIMAL_TEXT,
    **dict.fromkeys(
        ("text", "varchar", "bpchar"),
        Reading(sql="{}::text", decode=Decode.CAST, unfit=f"{_NO_NUMBER}; so are more digits"),
    ),
}
READINGS: Mapping[ColumnType, Mapping[str, Reading]] = {
    ColumnType.STRING: _STRING,
    ColumnType.JSON: _JSON,
    ColumnType.INT64: _INT64,
    ColumnType.FLOAT64: _FLOAT64,
    ColumnType.DECIMAL: _DECIMAL,
    ColumnType.BOOL: {"bool": _EXACT},
    ColumnType.TIMESTAMP: {
        "timestamptz": Reading(decode=Decode.MOMENT, unfit=_NO_MOMENT),
        "timestamp": Reading(
            sql="{} AT TIME ZONE 'UTC'",
            decode=Decode.MOMENT,
            policy="exact, as UTC",
            unfit=_NO_MOMENT,
        ),
    },
    ColumnType.DATE: {
        "date": Reading(
            decode=Decode.DAY, unfit="`infinity`, `-infinity` become null and are counted"
        )
    },
}
"""By declared type and by the Postgres type's name in `pg_catalog`; domains count as their base."""


def reading_of(postgres_type: str, declared: ColumnType) -> Reading | None:
    """How a column of a Postgres type is read as its declared type; None where it is not."""
    readings = READINGS[declared]
    return readings.get(postgres_type) or readings.get(OTHER)


def policy_rows() -> Iterator[tuple[str, ...]]:
    """Every policy, for people: declared type, Postgres types, how values come, which do not."""
    for declared, readings in READINGS.items():
        by_reading: dict[Reading, list[str]] = {}
        for name, reading in readings.items():
            by_reading.setdefault(reading, []).append(name)
        for reading, names in by_reading.items():
            shown = ", ".join("every other" if name == OTHER else f"`{name}`" for name in names)
            yield f"`{declared.value}`", shown, reading.policy, reading.unfit
        if OTHER not in readings:
            yield f"`{declared.value}`", "every other", "the run is refused", ""
