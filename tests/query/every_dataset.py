"""Small, realistic, deterministic rows for every dataset of the catalogue, made of declarations.

Enum-like columns take their declared values, ids repeat between datasets so that joins find
partners, numbers are of sizes that do not tie, and nullable columns have some NULLs.
"""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

from lake_assets.catalog import Column, ColumnType, Dataset
from lake_assets.storage.schema import arrow_schema

_AGENTS = ("aurora", "sage", "nova", "iris", "atlas", *(f"agent-{number}" for number in range(15)))
_WORDS = {
    "status": ("succeeded", "failed", "active", "paid"),
    "model": ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "llama-3"),
    "agent_id": _AGENTS,
    "service": ("gateway", "api"),
    "role": ("system", "user"),
    "path": ("https://example.com/a", "/v1/x", "file:///a", "a/../b"),
    "page_url": ("https://example.com/a", "http://example.com/b"),
    "os": ("windows", "linux"),
    "action": ("opened", "closed", "DROP"),
    "content": ("日本語 text", "it's; DROP TABLE x; --", "plain"),
    "query_text": ("how?", "$1 price", "read_parquet(x)", "lake"),
    "error_message": ("it's; DROP TABLE x; --", "C:\\temp\\", "\\", "timed out after 30 s"),
    "source_file": ("2026.csv", "/etc/passwd"),
}


def rows_of(dataset: Dataset, day: date, *, count: int = 12) -> pa.RecordBatch:
    """`count` rows of a day; the same for the same dataset and day."""
    chance = random.Random(f"{dataset.partition} {day}")
    columns = [
        [_value(column, chance, day, index) for index in range(count)] for column in dataset.columns
    ]
    schema = arrow_schema(dataset)
    arrays = [
        pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _value(column: Column, chance: random.Random, day: date, index: int) -> Any:
    if not column.required and chance.random() < 0.1:
        return None
    return _MAKERS[column.type](column, chance, day, index)


def _text(column: Column, chance: random.Random, day: date, index: int) -> str:
    words: Sequence[str] = column.values or _WORDS.get(column.name, ())
    if words:
        return chance.choice(words)
    if column.name.endswith("_id") or column.name == "id":
        # Few ids, so that they repeat from day to day and from dataset to dataset.
        return f"{column.name}-{(day.toordinal() + index) % 30}"
    return f"{column.name} {chance.randrange(8)} ß"


def _json(_: Column, chance: random.Random, day: date, index: int) -> str:
    document = {
        "kind": chance.choice(("a", "b")),
        "source": chance.choice(("cron", "manual")),
        "n": index,
        "tags": ["x", f"d{day.day}"],
        "a": {"b": {"c": chance.randrange(3)}},
        "sku": "s-1",
    }
    return msgspec.json.encode([document] if chance.random() < 0.2 else document).decode()


def _timestamp(_: Column, chance: random.Random, day: date, __: int) -> datetime:
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return moment + timedelta(microseconds=chance.randrange(86_400_000_000))


_MAKERS: dict[ColumnType, Callable[[Column, random.Random, date, int], Any]] = {
    ColumnType.STRING: _text,
    ColumnType.INT64: lambda _, chance, __, ___: chance.randrange(1, 1_000_000),
    ColumnType.FLOAT64: lambda _, chance, __, ___: chance.random() * 1_000,
    ColumnType.BOOL: lambda _, chance, __, ___: chance.random() < 0.5,
    ColumnType.TIMESTAMP: _timestamp,
    ColumnType.DATE: lambda _, chance, day, __: day - timedelta(days=chance.randrange(5)),
    ColumnType.DECIMAL: lambda _, chance, __, ___: Decimal(chance.randrange(10**9)).scaleb(-6),
    ColumnType.JSON: _json,
}
