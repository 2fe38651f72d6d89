"""What is stored of a dataset, as it was listed.

Belongs here: the shapes. Does not belong here: listing (`snapshot`), keeping (`snapshot_files`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType

from lake_api.query.stored_days import missing_days, possible_days, utc_today
from lake_assets.catalog import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPartition:
    """The object of one day, as it was listed."""

    day: date
    key: str
    etag: str
    size_bytes: int
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A dataset's objects, oldest day first; `version` is the token's ETag, or empty.

    `failed_checks` are those of the days as they are now: what was found, by check.
    """

    dataset: Dataset
    version: str
    partitions: tuple[StoredPartition, ...]
    failed_checks: Mapping[date, Mapping[str, str]] = field(
        default_factory=dict[date, Mapping[str, str]]
    )
    days: tuple[date, ...] = field(init=False, repr=False, compare=False)
    by_day: Mapping[date, StoredPartition] = field(init=False, repr=False, compare=False)
    _missing: tuple[date, ...] | None = field(init=False, repr=False, compare=False, default=None)

    @property
    def missing(self) -> tuple[date, ...]:
        """Days between the stored ones that should be there; found when first asked for."""
        if self._missing is None:
            found = missing_days(self.dataset, self.days, today=utc_today())
            object.__setattr__(self, "_missing", found)
            return found
        return self._missing

    def possible(self, today: date) -> tuple[StoredPartition, ...]:
        """The days that the lake can have written: none in the future, nor before the first."""
        days = possible_days(self.dataset, self.days, today=today)
        if len(days) == len(self.days):
            return self.partitions
        return tuple(self.by_day[day] for day in days)

    def __post_init__(self) -> None:
        by_day = {partition.day: partition for partition in self.partitions}
        object.__setattr__(self, "by_day", MappingProxyType(by_day))
        object.__setattr__(self, "days", tuple(by_day))
