"""What an asset hands to the IO manager: rows by day, read when they are written.

Belongs here: the value that passes from an asset to the IO manager and back to its checks.
Does not belong here: reading rows (`sources`), writing them (`storage`).
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa

from lake_assets.catalog import Dataset
from lake_assets.storage.writer import WrittenPartition


@dataclass(slots=True, kw_only=True)
class DailyRows:
    """The days to write and how each is read. The IO manager fills `written`, day by day.

    `days` may find out one by one which days there are; it is gone through once.
    """

    dataset: Dataset
    days: Iterable[date]
    read: Callable[[date], Generator[pa.RecordBatch]]
    source: str
    written: list[WrittenPartition] = field(default_factory=list[WrittenPartition])
