"""What to write where the engine refused a query: hints that the engine does not have itself.

Belongs here: hints by the engine's message and the caller's text.
Does not belong here: the codes and details of these refusals (`worker.failures`).
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from lake_api.query.guard.habits import habit_hint
from lake_api.query.guard.limits import GuardLimits
from lake_api.query.guard.text import lex
from lake_api.query.messages import Failure

_PARTS = frozenset(
    """
    microsecond millisecond second minute hour day week isoweek month quarter year decade century
    dayofweek dow isodow dayofyear doy weekday
    """.split()
)
_OF_PARTS = re.compile(
    r"\b(date_?trunc|date_?diff|date_?part|date_?sub|date_?add|timestamp_?diff|last_day)\s*\(", re.I
)
_CLOCKS = frozenset({"sysdate", "systimestamp", "getdate", "systime", "utc_timestamp", "utc_date"})
_DAY_WORDS = {
    "today": "current_date",
    "now": "now()",
    "yesterday": "current_date - 1",
    "tomorrow": "current_date + 1",
}
_BAD_DATE = re.compile(r'invalid (date|timestamp) field format: "(.*?)", expected')
_COMPARED = re.compile(
    r"Cannot compare values of type (DATE|TIMESTAMP[A-Z ]*) and type (\w+)"
    r"|Cannot compare values of type (\w+) and type (DATE|TIMESTAMP[A-Z ]*)"
)
_NO_FUNCTION = re.compile(r"argument types '(\S+)\((.*)\)'")
_ORDERS = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y%m%d", "%b %d, %Y", "%B %d, %Y", "%d %b %Y")
_EPOCH_FIRST_S = 10**9
_INTEGER = re.compile(r"(?<![\w.'-])(\d{8,13})(?![\w.'-])")


def engine_hint(failure: Failure, sql: str) -> str | None:
    """A hint that is more to the point than the one that the refusal has, or None."""
    for rule in _RULES:
        hint = rule(failure, sql)
        if hint is not None:
            return hint
    return None


def _syntax(failure: Failure, sql: str) -> str | None:
    if failure.code not in {"syntax_error", "parsers_disagree"}:
        return None
    return habit_hint(lex(sql, GuardLimits()))


def _column(failure: Failure, sql: str) -> str | None:
    name = failure.fragment
    if failure.code != "unknown_column" or not name:
        return None
    part = name.lower().removesuffix("s")
    called = _OF_PARTS.search(sql) if part in _PARTS else None
    if called:
        return f"Write the part as a text, before the dates: {called[1].lower()}('{part}', …)."
    if name.lower() in _CLOCKS:
        return "Write now(), or current_date for the day."
    if name.lower() in {"rownum", "rowid", "_rowid_"}:
        return "Write LIMIT 5, or row_number() OVER (ORDER BY a)."
    if f'"{name}"' in sql and f'."{name}"' not in sql:
        text = name.replace("'", "''")
        return (
            f"Double quotes are for names: write the text as '{text}'. {failure.hint or ''}".strip()
        )
    if re.search(rf"@\s*{re.escape(name)}\b", sql):
        return "Parameters can't be bound here: write the value into the SQL."
    if re.search(rf"->>?\s*{re.escape(name)}\b|:\s*{re.escape(name)}\b", sql):
        return f"Write json_extract_string(json, '$.{name}')."
    return None


def _bad_date(failure: Failure, sql: str) -> str | None:
    del sql
    found = _BAD_DATE.search(failure.detail)
    if not found:
        return None
    kind, text = found[1], found[2]
    if (word := _DAY_WORDS.get(text.strip().lower())) is not None:
        return f"Write {word}, without quotes."
    day = _day_of(text)
    if day is not None:
        return f"Write the day as '{day}'."
    if re.fullmatch(r"\d{4}-\d{2}", text):
        return f"Write date >= '{text}-01' AND date < '{_next_month(text)}'."
    if re.fullmatch(r"-?\d+ \w+", text.strip()):
        return f"Write INTERVAL '{text.strip()}'."
    example = "2026-11-10" if kind == "date" else "2026-11-10 00:00:00+00"
    return f"Write it as '{example}'; TRY_CAST gives NULL where a value does not convert."


def _day_of(text: str) -> date | None:
    """The one day that a text of another form means; None where it could be two."""
    days: set[date] = set()
    for order in _ORDERS:
        try:
            days.add(datetime.strptime(text.strip(), order).replace(tzinfo=UTC).date())
        except ValueError:
            continue
    return days.pop() if len(days) == 1 else None


def _next_month(text: str) -> date | str:
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        return "…"
    return (first + timedelta(days=32)).replace(day=1)


def _number_as_date(failure: Failure, sql: str) -> str | None:
    compared = _COMPARED.search(failure.detail)
    if not compared and "INTEGER -> DATE" not in failure.detail:
        return None
    kind = ((compared[1] or compared[4]) if compared else "DATE") or "DATE"
    for written in _INTEGER.findall(sql):
        day = _day_of(written) if len(written) == 8 else None
        if day is not None:
            return f"Write DATE '{day}'."
        seconds = int(written) // (1_000 if len(written) > 11 else 1)
        if kind != "DATE" and seconds >= _EPOCH_FIRST_S:
            return f"Write to_timestamp({seconds}): times are no numbers here."
    example = "DATE '2026-11-10'" if kind == "DATE" else "TIMESTAMPTZ '2026-11-10 00:00:00+00'"
    return f"Write the other side as {example}."


def _arguments(failure: Failure, sql: str) -> str | None:
    found = _NO_FUNCTION.search(failure.detail)
    detail, name, types = failure.detail, "", ""
    if found:
        name, types = found[1].lower(), found[2]
    is_time = "DATE" in types or "TIMESTAMP" in types
    if name in {"~~", "!~~", "~~*", "!~~*"} and is_time:
        return "Compare days: date BETWEEN '2026-11-01' AND '2026-11-30'; or cast with ::VARCHAR."
    if name in {"-", "+"} and "TIMESTAMP" in types and "INTEGER" in types:
        return "Write INTERVAL 7 DAY in place of 7; only to a DATE are days added as numbers."
    if 'function call "-(DATE' in detail or 'function call "+(DATE' in detail:
        return "Write INTERVAL '7 days' in place of '7 days'."
    if name in {"date_trunc", "date_part", "date_diff", "datediff", "datetrunc", "datepart"}:
        return f"Write the part first: {name}('day', …)."
    if name in {"date_sub", "datesub"} or "date_add()" in detail:
        return "Write t - INTERVAL 7 DAY or t + INTERVAL 7 DAY."
    if name in {"sum", "avg", "mean", "stddev"} and "VARCHAR" in types:
        return f"The column is text: {name}(TRY_CAST(a AS DOUBLE))."
    if name == "count":
        return "Write count(DISTINCT (a, b))."
    if "aggregates" in detail and "WHERE" in detail:
        return "Write conditions on aggregates in HAVING."
    if "Window functions are not supported here" in detail:
        return "Write first_value(a) OVER (ORDER BY b), or arg_min(a, b) as an aggregate."
    if "Cannot extract field" in detail:
        field = re.search(r"field '([^']*)'", detail)
        name = field[1] if field else "key"
        return f"JSON columns are text: write json_extract_string(json, '$.{name}')."
    if "ORDER term out of range" in detail:
        return "Name a column, or a place among the selected columns, counted from 1."
    return _type(detail)


def _type(detail: str) -> str | None:
    found = re.search(r"There is no type `(\w+)`", detail)
    if not found:
        return None
    return "Types are VARCHAR, BIGINT, DOUBLE, DECIMAL(18, 6), BOOLEAN, DATE and TIMESTAMPTZ."


_RULES: tuple[Callable[[Failure, str], str | None], ...] = (
    _syntax,
    _column,
    _bad_date,
    _number_as_date,
    _arguments,
)
