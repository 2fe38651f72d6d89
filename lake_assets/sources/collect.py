"""What a collector is: how it is asked for a day, and what it says about itself.

Belongs here: the question (`Ask`), the description of a collector, finding the one of a dataset.
Does not belong here: any single upstream, HTTP (`http`), running a collection (`collection`).

A collector is one function from an `Ask` to rows, and one `Collector` that names it:

    def collect(ask: Ask) -> Iterator[Row]: ...

    COLLECTOR = Collector(upstream=config.FRED, collect=collect)

Rows are mappings by column name, each value in its declared type; `collected_at` and `row_hash` are
filled in. A declaration names its collector: `collect="lake_assets.sources.fred:COLLECTOR"`. A
dataset with a column `row_hash` gets only rows that are new or revised (`revisions`).
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from lake_assets.catalog import Dataset, ExternalSource
from lake_assets.sources.config import Upstream
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.http import HttpSource
from lake_assets.sources.revisions import Known

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One day of one run. `days` are all days that the run asks for, ascending.

    A source that can be asked for a range is asked for `days[0]` to `days[-1]` once, with
    `remember=True`, and each day takes its part.
    """

    day: date
    days: Sequence[date]
    now: datetime
    http: HttpSource
    settings: Mapping[str, str]
    known: Known | None
    warn: Callable[[str], None]

    @property
    def start(self) -> datetime:
        """Midnight UTC at which the day begins."""
        return datetime.combine(self.day, datetime.min.time(), tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """Midnight UTC at which the day is over, exclusive."""
        return self.start + timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """How one dataset is collected.

    `reach_d` is how many days back from today the source can be asked for: None is all of them, 0
    is its present state only; `gone` then says what became of older days. With `fades`, a day that
    it shows holds less as time goes by: rows that the lake has, and that no longer come, stay
    (`fading`); `whole` names a column that is false in rows read in part. `bookkeeping` names
    columns of a slow source whose change alone is no revision. `check_requests` is how often a live
    check may ask: enough to see every shape, few where answers are large.
    """

    upstream: Upstream
    collect: Callable[[Ask], Iterator[Row]]
    reach_d: int | None = None
    gone: str = ""
    fades: bool = False
    whole: str = ""
    bookkeeping: tuple[str, ...] = ()
    check_requests: int = 3


def collector_of(dataset: Dataset) -> Collector:
    """The collector that a dataset's declaration names.

    Raises:
        SourceMismatch: it names none, or something else.
    """
    source = dataset.source
    module, _, name = source.collect.partition(":") if isinstance(source, ExternalSource) else ""
    found = getattr(importlib.import_module(module), name, None) if module else None
    if not isinstance(found, Collector):
        raise SourceMismatch(f"{dataset.partition}: `collect` names no collector")
    return found
