"""What an export finds out about its table while it reads: told with each day that it writes.

Belongs here: counts of the source as metadata of days, as log lines, as reasons of checks.
Does not belong here: counting (`lake_assets.sources`), verdicts (`judge`).
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.catalog import Kind
from lake_assets.orchestration.judge import ROWS_WITHOUT_DAY
from lake_assets.orchestration.retries import final_failures
from lake_assets.sources.fitting import UNFIT_VALUES
from lake_assets.sources.postgres_values import Nulled

if TYPE_CHECKING:
    from lake_assets.sources.platform import PlatformExport


class Findings:
    """Reads days of an export; `notes` are metadata by day, `said` reasons by day and check."""

    def __init__(
        self, source: "PlatformExport", *, warn: Callable[[str], None], today: date
    ) -> None:
        self._source = source
        self._warn = warn
        self.notes: dict[date, dict[str, Any]] = {}
        self.said: dict[date, dict[str, str]] = {}
        self._of_run: dict[str, Any] = {}
        self._said_of_run: dict[str, str] = {}
        dataset = source.table.dataset
        if dataset.kind is not Kind.EVENT:
            return
        # The driver imports pandas where that is installed: half a second for runs that need it.
        from lake_assets.sources.unplaced import count_unplaced  # noqa: PLC0415

        unplaced = count_unplaced(source, today=today)
        counts = {name: count for name, count in asdict(unplaced).items() if isinstance(count, int)}
        if any(counts.values()):
            self._of_run = {"rows_without_day": counts}
        if unplaced.reasons:
            self._said_of_run = {
                ROWS_WITHOUT_DAY: f"no day has some rows of the table: {unplaced.reasons}"
            }
            warn(f"{dataset.partition}: no day has some rows of the table: {unplaced.reasons}")

    def read(self, day: date) -> Generator[pa.RecordBatch]:
        """The rows of a day.

        Raises:
            dagster.Failure: the source refuses, or the statement was cancelled.
        """
        with final_failures(f"{day}: "):
            yield from self._source.day(day)
        self.notes[day] = dict(self._of_run)
        self.said[day] = dict(self._said_of_run)
        if nulled := self._source.nulled[day]:
            reason = _said_of_nulled(nulled)
            self.notes[day]["unfit_values"] = {name: one.count for name, one in nulled.items()}
            self.said[day][UNFIT_VALUES] = reason
            self._warn(f"{self._source.table.dataset.partition} {day}: {reason}")


def _said_of_nulled(nulled: Mapping[str, Nulled]) -> str:
    return "; ".join(
        f"`{name}` has {one.count:,} value{'' if one.count == 1 else 's'} that its type can't "
        f"hold, stored as null: first {one.first}"
        for name, one in nulled.items()
    )
