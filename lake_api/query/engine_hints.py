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

_PART_WORDS = """
    microsecond millisecond second minute hour day week isoweek month quarter year decade century
    dayofweek dow isodow dayofyear doy weekday
"""
_PARTS = frozenset(_PART_WORDS.split())
_OF_PARTS = re.compile(
    r"\b(date_?trunc|date_?diff|date_?part|date_?sub|date_?add|timestamp_?diff|last_day)\s*\(", re.I
)
_NOW = "Write now(), or current_date for the day."
_FIRST_ROWS = "Write LIMIT 5, or row_number() OVER (ORDER BY a)."
_PSEUDO_COLUMNS = {
    **dict.fromkeys(("sysdate", "systimestamp", "getdate", "utc_timestamp", "utc_date"), _NOW),
    **dict.fromkeys(("rownum", "rowid", "_rowid_"), _FIRST_ROWS),
}
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
    return _part(name, sql) or _PSEUDO_COLUMNS.get(name.lower()) or _no_column(failure, name, sql)


def _part(name: str, sql: str) -> str | None:
    part = name.lower().removesuffix("s")
    called = _OF_PARTS.search(sql) if part in _PARTS else None
    if called is None:
        return None
    return f"Write the part as a text, before the dates: {called[1].lower()}('{part}', …)."


def _no_column(failure: Failure, name: str, sql: str) -> str | None:
    """What stands where a column is looked for, and is none."""
    hint = None
    if f'"{name}"' in sql and f'."{name}"' not in sql:
        text = name.replace("'", "''")
        hint = f"Double quotes are for names: write the text as '{text}'. {failure.hint or ''}"
    elif re.search(rf"@\s*{re.escape(name)}\b", sql):
        hint = "Parameters can't be bound here: write the value into the SQL."
    elif re.search(rf"->>?\s*{re.escape(name)}\b|:\s*{re.escape(name)}\b", sql):
        hint = f"Write json_extract_string(json, '$.{name}')."
    return hint and hint.strip()


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


def _message(failure: Failure, sql: str) -> str | None:
    del sql
    for pattern, hint in _MESSAGES:
        found = pattern.search(failure.detail)
        if found:
            return found.expand(hint) if "\\" in hint else hint
    return None


_INTERVAL = "Write t - INTERVAL 7 DAY or t + INTERVAL 7 DAY."
_BY_MESSAGE = (
    (
        r"'!?~~\*?\((?:DATE|TIMESTAMP)",
        "Compare days: date BETWEEN '2026-11-01' AND '2026-11-30'; or cast with ::VARCHAR.",
    ),
    (
        r"'[-+]\(TIMESTAMP[A-Z ]*, INTEGER",
        "Write INTERVAL 7 DAY in place of 7; only to a DATE are days added as numbers.",
    ),
    (
        r'function call "[-+]\(DATE',
        "Write INTERVAL '7 days' for a length of time, and DATE '2026-11-01' for a day.",
    ),
    (
        r"'(date_trunc|datetrunc|date_part|datepart|date_diff|datediff)\(",
        r"Write the part first: \1('day', …).",
    ),
    (r"'date_?sub\(", _INTERVAL),
    (r"date_add\(\)", _INTERVAL),
    (r"'(sum|avg|mean|stddev)\(VARCHAR", r"The column is text: \1(TRY_CAST(a AS DOUBLE))."),
    (r"'count\(", "Write count(DISTINCT (a, b))."),
    (r"WHERE clause cannot contain aggregates", "Write conditions on aggregates in HAVING."),
    (
        r"Window functions are not supported here",
        "Write first_value(a) OVER (ORDER BY b), or arg_min(a, b) as an aggregate.",
    ),
    (
        r"Cannot extract field '([^']*)'",
        r"JSON columns are text: write json_extract_string(json, '$.\1').",
    ),
    (
        r"ORDER term out of range",
        "Name a column, or a place among the selected columns, counted from 1.",
    ),
    (
        r"There is no type `",
        "Types are VARCHAR, BIGINT, DOUBLE, DECIMAL(18, 6), BOOLEAN, DATE and TIMESTAMPTZ.",
    ),
)
_MESSAGES = tuple((re.compile(pattern), hint) for pattern, hint in _BY_MESSAGE)


_RULES: tuple[Callable[[Failure, str], str | None], ...] = (
    _syntax,
    _column,
    _bad_date,
    _number_as_date,
    _message,
)
