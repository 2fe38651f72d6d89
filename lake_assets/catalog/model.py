"""The words a dataset is described with: columns, types, sources, schedules, tasks.

Belongs here: frozen descriptions and the rules that one description must obey by itself.
Does not belong here: rules between datasets (`registry`), object keys (`layout`), any I/O, any
import outside the standard library.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum
from functools import cached_property
from types import MappingProxyType

DEFAULT_FIRST_DAY = date(2024, 1, 1)
"""The first partition of a dataset that names none."""

PARTITION_COLUMN = "date"
"""The column that the object path carries; no dataset may declare it."""


class CatalogError(ValueError):
    """A declaration that can't stand: the message names the dataset and what to change."""


class ColumnType(Enum):
    """Logical column types; the value is the name used in documentation."""

    STRING = "string"
    INT64 = "int64"
    FLOAT64 = "float64"
    BOOL = "bool"
    TIMESTAMP = "timestamp[us,UTC]"
    DATE = "date32"
    DECIMAL = "decimal(18,6)"
    JSON = "json"

    @property
    def sql(self) -> str:
        """The type that a query sees, in DuckDB's words. JSON is text to `json_extract` from."""
        return _SQL_TYPES[self]


_SQL_TYPES = {
    ColumnType.STRING: "VARCHAR",
    ColumnType.INT64: "BIGINT",
    ColumnType.FLOAT64: "DOUBLE",
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    ColumnType.DATE: "DATE",
    ColumnType.DECIMAL: "DECIMAL(18,6)",
    ColumnType.JSON: "VARCHAR",
}


class Kind(Enum):
    """What one daily partition of a dataset holds."""

    EVENT = "event"
    """Rows of UTC day D by watermark."""
    SNAPSHOT = "snapshot"
    """The full state on day D; only the current day can be written."""
    EXTERNAL = "external"
    """What an outside source published for, or was seen with on, day D."""
    DERIVED = "derived"
    """Computed from other datasets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. `values` lists the accepted values of an enum-like column, else is empty.

    Values of a `transient` column come and go while a row lives: a day may lose them.
    """

    name: str
    type: ColumnType
    description: str
    required: bool = False
    values: tuple[str, ...] = ()
    transient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSource:
    """A table of the platform database; `schema` is `public` unless an app has its own."""

    table: str
    schema: str = "public"

    def __str__(self) -> str:
        prefix = "" if self.schema == "public" else f"{self.schema}."
        return f"postgres:{prefix}{self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSource:
    """A table of the query service's own database."""

    table: str

    def __str__(self) -> str:
        return f"service:{self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalSource:
    """An upstream outside the company; `upstream` is its short name, `pool` its rate-limit pool.

    `collect` is where its collector is found, as `module:NAME`; it is empty while there is none.
    """

    upstream: str
    pool: str = ""
    collect: str = ""

    def __str__(self) -> str:
        return f"api:{self.upstream}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeSource:
    """Other datasets of the lake, by partition name.

    `compute` is where its derivation is found, as `module:NAME`; it is empty while there is none.
    """

    upstreams: tuple[str, ...]
    compute: str = ""

    def __str__(self) -> str:
        return "lake:" + "+".join(self.upstreams)


Source = PostgresSource | ServiceSource | ExternalSource | LakeSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Values of `column` are found in `to_column` of `partition` on the same day, or are null."""

    column: str
    partition: str
    to_column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Rows that tell of something that failed: `column` has one of `values`.

    The values of a flag are `true` and `false`.
    """

    column: str
    values: tuple[str, ...]


class ShrinkPolicy(Enum):
    """What becomes of a stored day when the one that would replace it has less."""

    REFUSE = "refuse"
    """It stays, and the run fails, where more is lost than the declared share."""
    MIRROR = "mirror"
    """It is replaced: the source is the truth."""
    KEEP = "keep"
    """Stored rows that no longer come stay, joined by key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrink:
    """How much of a stored day may be lost when it is written again: at most `share` of its rows.

    Under `REFUSE` a day never becomes empty, and no column loses all its values.
    """

    policy: ShrinkPolicy = ShrinkPolicy.REFUSE
    share: float = 0.1


_SHRINK_OF_PAST = Shrink(share=0.1)
"""Rows of a day that is over are facts: few of them go, such as those of a person who left."""

_SHRINK_OF_STATE = Shrink(share=0.5)
"""The present state, and what is computed, change as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a dataset is written by itself, and which days one tick writes.

    A tick on UTC day T writes the partitions `T - oldest_lag_d` to `T - newest_lag_d`. `polls` is
    a second cron, for a source that forgets within a day: its ticks write the running day, and
    until the tick of the day those that it will write (`due.poll_days`).
    """

    cron: str
    newest_lag_d: int = 0
    oldest_lag_d: int = 0
    polls: str = ""

    @property
    def writes_today(self) -> bool:
        """Whether the running day has a partition."""
        return self.newest_lag_d == 0 or bool(self.polls)

    def days(self, tick: date) -> tuple[date, ...]:
        """The partitions that a tick on `tick` writes, oldest first."""
        lags = range(self.oldest_lag_d, self.newest_lag_d - 1, -1)
        return tuple(tick - timedelta(days=lag) for lag in lags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A name that `POST /tasks/trigger` accepts.

    `partition` is the dataset it writes, or None for maintenance. A `backfill` task takes
    `start_date` and `end_date`; the others also take one `date`.
    """

    name: str
    partition: str | None
    description: str
    backfill: bool = False


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A daily-partitioned dataset, declared once; everything else follows from it.

    `tasks` are trigger task names, the daily one first. `key` names the columns that identify a
    row within one partition (empty: none does). `expect_rows` marks a dataset for which a day
    without rows is a fault. `freshness_h` is the age in hours at which its newest partition is
    stale. `references` are columns whose values another dataset has as a column of the same day.
    `failures` says which rows tell of something that failed: their share is watched.
    `declared_shrink` is how much of a stored day may be lost; None takes what fits the kind.
    `proposed` marks what the product specification does not name.
    """

    partition: str
    description: str
    kind: Kind
    group: str
    source: Source
    columns: tuple[Column, ...]
    tasks: tuple[str, ...]
    schedule: Schedule
    watermark: str
    key: tuple[str, ...] = ()
    owner: str = "team:data-platform"
    first_day: date = DEFAULT_FIRST_DAY
    freshness_h: int = 36
    expect_rows: bool = False
    references: tuple[Reference, ...] = ()
    failures: Failures | None = None
    declared_shrink: Shrink | None = None
    proposed: bool = False
    notes: str = ""
    _by_name: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {column.name: column for column in self.columns}
        object.__setattr__(self, "_by_name", MappingProxyType(by_name))
        self._refuse(len(by_name) != len(self.columns), "a column is declared twice")
        self._refuse(not self.columns, "it has no columns")
        self._refuse(
            PARTITION_COLUMN in by_name,
            f"no column may be called `{PARTITION_COLUMN}`: it is the partition column",
        )
        self._refuse(
            self.watermark not in by_name, f"its watermark `{self.watermark}` is no column"
        )
        for name in self.key:
            self._refuse(name not in by_name, f"its key column `{name}` is no column")
        for reference in self.references:
            self._refuse(
                reference.column not in by_name,
                f"its referring column `{reference.column}` is no column",
            )
        self._refuse_bad_failures(by_name)
        self._refuse(
            self.shrink.policy is ShrinkPolicy.KEEP and not self.key,
            "rows that no longer come can only be kept by a key, and it has none",
        )
        self._refuse(
            not 0 <= self.shrink.share <= 1, "the share that it may lose lies between 0 and 1"
        )
        self._refuse(not self.description.strip(), "it has no description")
        self._refuse(not self.tasks, "it has no trigger task")
        for part in self.partition.split("/"):
            self._refuse(not _is_name(part), f"`{part}` is no lower-case snake_case name")
        for column in self.columns:
            self._refuse(not _is_name(column.name), f"column `{column.name}` is not snake_case")
            self._refuse(not column.description, f"column `{column.name}` has no description")

    def _refuse_bad_failures(self, by_name: Mapping[str, Column]) -> None:
        if self.failures is None:
            return
        name = self.failures.column
        column = by_name.get(name)
        if column is None:
            raise CatalogError(f"dataset {self.partition}: `{name}` of its failures is no column")
        known = ("true", "false") if column.type is ColumnType.BOOL else column.values
        self._refuse(
            not self.failures.values or not set(self.failures.values) <= set(known),
            f"its failures name values that `{name}` does not list",
        )

    def _refuse(self, wrong: bool, why: str) -> None:
        if wrong:
            raise CatalogError(f"dataset {self.partition}: {why}")

    @cached_property
    def sql_name(self) -> str:
        """The table name in SQL: `platform/llm_token_usage` → `platform_llm_token_usage`."""
        return self.partition.replace("/", "_")

    @property
    def asset_key(self) -> tuple[str, ...]:
        """The path of the Dagster asset key: `("platform", "llm_token_usage")`."""
        return tuple(self.partition.split("/"))

    @property
    def daily_task(self) -> str:
        """The task that writes single days."""
        return self.tasks[0]

    @property
    def shrink(self) -> Shrink:
        """How much of a stored day may be lost when it is written again."""
        if self.declared_shrink is not None:
            return self.declared_shrink
        return _SHRINK_OF_PAST if self.is_of_past else _SHRINK_OF_STATE

    @property
    def is_of_past(self) -> bool:
        """Whether a row of a day is a fact that stays; else it is part of a state that changes."""
        return self.kind is Kind.EVENT or (
            self.kind is Kind.EXTERNAL and self.schedule.newest_lag_d > 0
        )

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The partitions that this dataset is computed from; empty unless it is derived."""
        return self.source.upstreams if isinstance(self.source, LakeSource) else ()

    @property
    def column_names(self) -> Collection[str]:
        """The names of the columns, in declared order."""
        return self._by_name.keys()

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return self.description.strip().splitlines()[0]

    def newest_day(self, today: date) -> date:
        """The newest partition that exists on `today` (UTC).

        A snapshot, and whatever is written for the day of its run, has one for today; of all
        else a day can be written once it is over.
        """
        return today - timedelta(days=0 if self.schedule.writes_today else 1)

    def column(self, name: str) -> Column:
        """The column called `name`.

        Raises:
            KeyError: there is none.
        """
        return self._by_name[name]


def _is_name(text: str) -> bool:
    """Lower-case ASCII snake_case that starts with a letter: `a2a_interactions`, `agent_id`."""
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_")
    return bool(text) and text[0].isalpha() and set(text) <= allowed
