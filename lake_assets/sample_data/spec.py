"""What is asked of the sample data, and what loading it reports.

Belongs here: the size, seed and last day of a sample; counts and seconds of a load; the refusal.
Does not belong here: anything that makes rows; a heavy import.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


class SampleDataRefused(RuntimeError):
    """The database holds a table of that name which is not sample data; nothing was changed."""


class SampleDataBroken(RuntimeError):
    """Postgres did not take the rows of a table: a fault of the rows, not of the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSpec:
    """How much sample data, which, and up to which day.

    `rows_per_day` is the size of the busiest dataset on a weekday at the end of the sample; the
    others are scaled by a factor of their own. Event tables cover `days` UTC days that end with
    `last_day`; snapshot tables hold the state at the end of `last_day`. The same spec gives the
    same rows, and more `days` add older days without touching the others. `days_of` gives single
    partitions another number of days.
    """

    last_day: date
    days: int = 30
    rows_per_day: int = 2000
    seed: int = 7
    days_of: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        if self.days < 1 or any(days < 1 for days in self.days_of.values()):
            raise ValueError("days must be at least 1")
        if self.rows_per_day < 1:
            raise ValueError("rows_per_day must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableReport:
    """What one table was filled with."""

    partition: str
    table: str
    rows: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleReport:
    """What a load wrote, table by table."""

    tables: tuple[TableReport, ...]
    duration_s: float

    @property
    def rows(self) -> int:
        """Rows over all tables."""
        return sum(table.rows for table in self.tables)
