"""Every type of the engine, and what its values become at every door.

Belongs here: the one table of types and doors; encoders, refusals, documentation and tests follow
from it. Does not belong here: building statements from it (`worker.lowering`), writing files.

A value reaches the caller exactly, or in an exact text form. The engine itself makes the text, so
that all doors have the same one. A type that is missing here is refused before the query runs.

In the templates `{x}` is the value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

MAX_TYPE_DEPTH = 32
"""Types inside one another that a column may have."""

MAX_TYPE_PARTS = 1_000
"""Fields, items, keys and members that the type of a column may have in all."""


TUPLE_ITEM = "\x02item "
"""Begins the names of the items of a tuple where it has to travel as a struct."""


class Door(Enum):
    """A way on which values leave the engine."""

    ROWS = "rows"
    """Python values: JSON and CSV answers, job pages, samples, profiles, MCP."""
    LINES = "lines"
    """Exports as CSV and JSON lines."""
    ARROW = "arrow"
    """Arrow answers, and exports as Arrow."""
    PARQUET = "parquet"
    AVRO = "avro"
    KEPT = "kept"
    """Kept results of jobs: every value comes back as it was."""


class Fit(Enum):
    """How a door carries the values of a type."""

    EXACT = "exact"
    TOP_LEVEL = "exact at top level, text inside other values"
    CHECKED = "exact; a column with values beyond the door's type is text"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineType:
    """A scalar type. `name` is what `duckdb_types()` calls it, or the engine's own alias.

    `text` makes the text form, `engine_text` one that the engine reads back. `within` is true for
    a value that the door's own type holds.
    """

    name: str
    json: str
    """What a JSON answer has."""
    text: str = "CAST({x} AS VARCHAR)"
    within: str = "true"
    beyond: str = ""
    """Which values are not `within`."""
    rows: Fit = Fit.EXACT
    lines: Fit = Fit.EXACT
    arrow: Fit = Fit.EXACT
    parquet: Fit = Fit.EXACT
    avro: Fit = Fit.EXACT
    kept: Fit = Fit.EXACT

    def fit(self, door: Door) -> Fit:
        """How a door carries its values."""
        fits: Mapping[Door, Fit] = {
            Door.ROWS: self.rows,
            Door.LINES: self.lines,
            Door.ARROW: self.arrow,
            Door.PARQUET: self.parquet,
            Door.AVRO: self.avro,
            Door.KEPT: self.kept,
        }
        return fits[door]


_SECOND = "'%Y-%m-%dT%H:%M:%S"
_FOUR_DIGITS = "isfinite({x}) AND {x} >= TIMESTAMP '0001-01-01' AND {x} < TIMESTAMP '10000-01-01'"


_FINITE_ZONED = "isfinite(CAST({x} AS TIMESTAMP WITH TIME ZONE))"


def _moment(value: str, zone: str) -> str:
    """ISO 8601 with microseconds where there are any; what ISO 8601 has no form of as engine."""
    written = f"replace(strftime({value}, {_SECOND}.%f{zone}'), '.000000', '')"
    inside = _FOUR_DIGITS.replace("{x}", value)
    if zone:
        inside = inside.replace("TIMESTAMP '", "TIMESTAMPTZ '")
    return f"CASE WHEN {inside} THEN {written} ELSE CAST({value} AS VARCHAR) END"


def _nano_moment(zone: str) -> str:
    """The same with nanoseconds where there are any; years have four digits in this range."""
    finite = _FINITE_ZONED if zone else "isfinite({x})"
    written = f"replace(strftime({{x}}, {_SECOND}.%n'), '.000000000', '')"
    shortened = f"regexp_replace({written}, '(\\.[0-9]{{6}})000$', '\\1')"
    return f"CASE WHEN {finite} THEN {shortened} || '{zone}' ELSE CAST({{x}} AS VARCHAR) END"


_TIME_TEXT = "regexp_extract(CAST({x} AS VARCHAR), '^[0-9:.]+')"
_TIME = (
    "CASE WHEN contains({t}, '.') THEN rpad({t}, CASE WHEN length({t}) > 15 THEN 18 ELSE 15 END, "
    "'0') ELSE {t} END"
)


def _time(text: str) -> str:
    """Six digits of a second, or nine, where there are any."""
    return _TIME.replace("{t}", text)


_OFFSET = "regexp_extract(CAST({x} AS VARCHAR), '[+-][0-9:]+$')"
_ZONED_TIME = (
    f"{_time(_TIME_TEXT)} || CASE {_OFFSET} WHEN '+00' THEN 'Z' ELSE "
    f"{_OFFSET} || CASE length({_OFFSET}) WHEN 3 THEN ':00' ELSE '' END END"
)
_MICROSECONDS = "hour({x})::HUGEINT * 3600000000 + minute({x}) * 60000000 + microsecond({x})"
_DAY_MICROSECONDS = "86400000000"
# Days and hours are one in UTC, and are told as before; months are not days, and keep their own.
_DURATION = f"""list_transform([{{
    'months': year({{x}}) * 12 + month({{x}}), 'days': day({{x}})::HUGEINT, 'us': {_MICROSECONDS}
}}], lambda lake_i: CASE
    WHEN {{x}} IS NULL THEN NULL
    WHEN lake_i.months = 0 THEN list_transform(
        [lake_i.days * {_DAY_MICROSECONDS} + lake_i.us], lambda lake_t: concat(
            CASE WHEN lake_t < 0 THEN '-' ELSE '' END, 'P',
            CASE WHEN lake_t = 0 THEN '0D' ELSE concat(
                nullif(concat(abs(lake_t) // {_DAY_MICROSECONDS}, 'D'), '0D'),
                lake_seconds(abs(lake_t) % {_DAY_MICROSECONDS})
            ) END
        )
    )[1]
    ELSE concat('P',
        nullif(concat(lake_i.months // 12, 'Y'), '0Y'),
        nullif(concat(lake_i.months % 12, 'M'), '0M'),
        nullif(concat(lake_i.days, 'D'), '0D'),
        lake_seconds(lake_i.us)
    ) END)[1]"""


def _with_seconds(template: str) -> str:
    """The template with `lake_seconds(us)` written out: `T1.5S`, or nothing for zero."""
    text = template
    while (start := text.find("lake_seconds(")) >= 0:
        depth, end = 1, start + len("lake_seconds(")
        first = end
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        value = f"({text[first : end - 1]})"
        written = (
            f"CASE {value} WHEN 0 THEN '' ELSE concat('T', CASE WHEN {value} < 0 THEN '-' ELSE '' "
            f"END, abs({value}) // 1000000, rtrim(rtrim(concat('.', lpad(CAST(abs({value}) % "
            "1000000 AS VARCHAR), 6, '0')), '0'), '.'), 'S') END"
        )
        text = text[:start] + written + text[end:]
    return text


def _number(name: str, *, avro: Fit = Fit.EXACT) -> EngineType:
    return EngineType(name=name, json="number; text beyond 2^53", avro=avro)


def _stamp(name: str, *, avro: Fit = Fit.CHECKED, rows: Fit = Fit.TEXT, text: str) -> EngineType:
    return EngineType(
        name=name,
        json="ISO 8601" + (" in UTC with `Z`" if "TZ" in name or "ZONE" in name else ""),
        text=text,
        within=_FINITE_ZONED if name == "TIMESTAMPTZ_NS" else "isfinite({x})",
        beyond="infinite",
        rows=rows,
        lines=Fit.TEXT,
        arrow=Fit.CHECKED,
        parquet=Fit.CHECKED,
        avro=avro,
    )


def _text(name: str, json: str, *, rows: Fit = Fit.TEXT, **more: str) -> EngineType:
    """A type that only Python, if any, has a form of."""
    return EngineType(
        name=name,
        json=json,
        rows=rows,
        lines=Fit.TEXT,
        arrow=Fit.TEXT,
        parquet=Fit.TEXT,
        avro=Fit.TEXT,
        kept=Fit.TEXT,
        **more,
    )


_SCALARS = (
    EngineType(name="BOOLEAN", json="true or false"),
    *map(_number, ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT")),
    _number("UINTEGER"),
    _number("UBIGINT", avro=Fit.TEXT),
    EngineType(
        name="HUGEINT",
        json="number; text beyond 2^53",
        within="{x} BETWEEN -99999999999999999999999999999999999999 "
        "AND 99999999999999999999999999999999999999",
        beyond="of more than 38 digits",
        arrow=Fit.CHECKED,
        parquet=Fit.CHECKED,
        avro=Fit.CHECKED,
    ),
    _text("UHUGEINT", "number; text beyond 2^53", rows=Fit.EXACT),
    _text("BIGNUM", "text", rows=Fit.TOP_LEVEL),
    EngineType(name="FLOAT", json="number; NaN and infinities are null, with a warning"),
    EngineType(name="DOUBLE", json="number; NaN and infinities are null, with a warning"),
    EngineType(name="DECIMAL", json="number; text where a double is not exact"),
    EngineType(name="VARCHAR", json="text"),
    EngineType(name="JSON", json="the value itself; in lists and structs its text"),
    EngineType(name="ENUM", json="text"),
    EngineType(name="UUID", json="text"),
    EngineType(name="BLOB", json="base64"),
    _text("BIT", "text of 0 and 1", rows=Fit.TOP_LEVEL),
    _stamp("DATE", rows=Fit.TOP_LEVEL, text="CAST({x} AS VARCHAR)"),
    EngineType(
        name="TIME",
        json="ISO 8601",
        text=_time("CAST({x} AS VARCHAR)"),
        within="{x} < TIME '24:00:00'",
        beyond="24:00:00",
        lines=Fit.TEXT,
        arrow=Fit.CHECKED,
        parquet=Fit.CHECKED,
        avro=Fit.CHECKED,
    ),
    EngineType(
        name="TIME_NS",
        json="ISO 8601",
        text=_time("CAST({x} AS VARCHAR)"),
        within="{x} < TIME_NS '24:00:00'",
        beyond="24:00:00",
        rows=Fit.TEXT,
        lines=Fit.TEXT,
        arrow=Fit.CHECKED,
        parquet=Fit.CHECKED,
        avro=Fit.TEXT,
    ),
    _text("TIME WITH TIME ZONE", "ISO 8601 with its offset", text=_ZONED_TIME),
    _stamp("TIMESTAMP", rows=Fit.TOP_LEVEL, text=_moment("{x}", "")),
    _stamp("TIMESTAMP WITH TIME ZONE", rows=Fit.TOP_LEVEL, text=_moment("{x}", "Z")),
    _stamp("TIMESTAMP_S", text=_moment("CAST({x} AS TIMESTAMP)", "")),
    _stamp("TIMESTAMP_MS", text=_moment("CAST({x} AS TIMESTAMP)", "")),
    _stamp("TIMESTAMP_NS", avro=Fit.TEXT, text=_nano_moment("")),
    _stamp("TIMESTAMPTZ_NS", avro=Fit.TEXT, text=_nano_moment("Z")),
    EngineType(
        name="INTERVAL",
        json="ISO 8601 duration",
        text=_with_seconds(_DURATION),
        within=f"{_MICROSECONDS} BETWEEN -9223372036854775 AND 9223372036854775",
        beyond="of more than 292 years in hours",
        rows=Fit.TEXT,
        lines=Fit.TEXT,
        arrow=Fit.CHECKED,
        parquet=Fit.TEXT,
        avro=Fit.TEXT,
        kept=Fit.TEXT,
    ),
    _text("GEOMETRY", "WKT"),
    _text(
        "VARIANT",
        "the value itself, as JSON; in lists and structs its text",
        text="CAST(CAST({x} AS JSON) AS VARCHAR)",
    ),
    _text("TYPE", "text"),
    EngineType(name="NULL", json="null", parquet=Fit.TEXT, kept=Fit.EXACT),
)
SCALARS: Mapping[str, EngineType] = MappingProxyType({one.name: one for one in _SCALARS})


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedType:
    """A type of other types; what its parts become is decided part by part."""

    name: str
    json: str
    parquet: str = "the same"
    avro: str = "JSON text"


_NESTED = (
    NestedType(name="LIST", json="array"),
    NestedType(name="ARRAY", json="array", parquet="list"),
    NestedType(name="STRUCT", json="object", parquet="the same; text where it has no fields"),
    NestedType(name="TUPLE", json="array", parquet="struct of `element1`, `element2`, …"),
    NestedType(name="MAP", json="object; keys are text"),
    NestedType(
        name="UNION",
        json="the member's value",
        parquet="struct of `tag`, the member's name, and all members",
    ),
)
NESTED: Mapping[str, NestedType] = MappingProxyType({one.name: one for one in _NESTED})


def type_names() -> frozenset[str]:
    """The types that the table knows."""
    return frozenset((*SCALARS, *NESTED))
