"""Asking each configured source once, gently, whether it is still what its collector expects.

Belongs here: `python -m lake_assets.sources.check`, which writes one JSON line per dataset.
Does not belong here: comparing shapes (`shapes`), showing the findings (the command line).

The collector itself asks, as a run would for the newest day, but it gets a few answers only; what
it makes of them goes nowhere. What it reads of each answer is compared with what came.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from lake_assets.catalog import Column, Dataset, ExternalSource, load_catalog
from lake_assets.sources.batches import to_batches
from lake_assets.sources.client import http_source
from lake_assets.sources.collect import Ask, Collector, collector_of
from lake_assets.sources.collection import completed
from lake_assets.sources.config import UPSTREAMS
from lake_assets.sources.errors import (
    FieldMismatch,
    NotConfigured,
    NotPublishedYet,
    SourceMismatch,
    SourceUnavailable,
)
from lake_assets.sources.fitting import Fitting
from lake_assets.sources.http import HttpSource
from lake_assets.sources.revisions import HASH_COLUMN, Known
from lake_assets.sources.shapes import Difference, differences
from lake_assets.sources.turns import Turns
from lake_assets.sources.values import letters
from lake_assets.sources.watching import watched_by

_DAYS = 4
_PATIENCE = {"LAKE_HTTP_ATTEMPTS": "2", "LAKE_HTTP_TIMEOUT_S": "30", "LAKE_HTTP_MAX_WAIT_S": "10"}

State = Literal["ok", "drift", "refused", "unreachable", "not configured"]


class Finding(msgspec.Struct, kw_only=True):
    """How one dataset's source is doing; `reason` is one sentence for people.

    `new` are fields that came and that the collector does not read: no fault.
    """

    source: str
    title: str
    dataset: str
    state: State
    reason: str = ""
    missing: list[str] = msgspec.field(default_factory=list[str])
    retyped: list[str] = msgspec.field(default_factory=list[str])
    new: list[str] = msgspec.field(default_factory=list[str])
    requests: int = 0
    rows: int = 0


class _Enough(Exception):
    """The collector wants to ask once more than a check may."""


@dataclass(slots=True)
class _Seen:
    """What came, compared with what was expected: each difference once."""

    found: dict[tuple[str, str], Difference] = field(
        default_factory=dict[tuple[str, str], Difference]
    )
    columns: dict[str, str] = field(default_factory=dict[str, str])
    cells: set[str] = field(default_factory=set[str])

    def document(self, body: bytes, into: object) -> None:
        try:
            value = msgspec.json.decode(body)
        except msgspec.DecodeError:
            return  # no whole document; the reader finds that out too
        for difference in differences(value, into):
            self.note(difference)

    def table(self, columns: Iterable[str]) -> None:
        self.columns |= {letters(column): column for column in columns}

    def cell(self, column: str) -> None:
        self.cells.add(letters(column))

    def value(self, column: Column, value: object) -> None:
        said = f"column `{column.name}` is declared {column.type.value}, got {type(value).__name__}"
        self.note(Difference(kind="retyped", field=column.name, said=said))

    def note(self, difference: Difference) -> None:
        self.found.setdefault((difference.kind, difference.field), difference)

    def of_kind(self, kind: str) -> list[str]:
        return sorted(str(each) for each in self.found.values() if each.kind == kind)

    def unread(self) -> list[str]:
        """Columns of tables that the collector never looks at."""
        return sorted(name for short, name in self.columns.items() if short not in self.cells)


def check(dataset: Dataset, env: Mapping[str, str], *, now: datetime) -> Finding:
    """Ask the dataset's source, and compare."""
    collector = collector_of(dataset)
    finding = Finding(
        source=collector.upstream.name,
        title=collector.upstream.title,
        dataset=dataset.partition,
        state="ok",
    )
    seen = _Seen()
    try:
        with watched_by(seen):
            fitting = Fitting(dataset=dataset, retyped=seen.value)
            _ask(finding, collector, env, now, fitting)
    except NotConfigured as reason:
        finding.state, finding.reason = "not configured", str(reason)
    except SourceUnavailable as error:
        finding.state, finding.reason = "unreachable", str(error)
    except FieldMismatch as error:
        kind = "missing" if error.missing else "retyped"
        seen.note(
            Difference(kind=kind, field=error.field, said="" if error.missing else f"{error}")
        )
        finding.state, finding.reason = "drift", str(error)
    except SourceMismatch as error:
        finding.state, finding.reason = "refused", str(error)
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        said = f"the collector can't read it: {type(error).__name__}: {error}"
        finding.state, finding.reason = "drift", said
    finding.missing, finding.retyped = seen.of_kind("missing"), seen.of_kind("retyped")
    finding.new = sorted({*seen.of_kind("new"), *seen.unread()})
    if finding.missing or finding.retyped:
        finding.state = "drift"
    return finding


def _ask(
    finding: Finding,
    collector: Collector,
    env: Mapping[str, str],
    now: datetime,
    fitting: Fitting,
) -> None:
    """Let the collector make rows until it has asked often enough.

    A day without rows shows little, so days before it are asked for too, while requests are left.
    """
    dataset, settings = fitting.dataset, collector.upstream.values(env)
    newest = dataset.schedule.days(now.date())[-1]
    days = _DAYS if collector.reach_d is None else min(_DAYS, collector.reach_d + 1)
    with http_source(collector.upstream, {**_PATIENCE, **env}) as http:
        http.turns = _at_most(http.turns, collector.check_requests)
        for day in (newest - timedelta(days=back) for back in range(days)):
            ask = Ask(
                day=day,
                days=[day],
                now=now,
                http=http,
                settings=settings,
                known=Known(dataset, {}) if HASH_COLUMN in dataset.column_names else None,
                warn=lambda _: None,
            )
            rows = _until_enough(completed(dataset, collector, ask, fitting), http)
            try:
                finding.rows += sum(batch.num_rows for batch in to_batches(rows, dataset))
            except NotPublishedYet as reason:
                finding.reason = f"not published yet: {reason}"
            finally:
                finding.requests = http.requests
            if finding.rows:
                finding.reason = ""
                break


def _until_enough(
    rows: Iterator[dict[str, object]], http: HttpSource
) -> Iterator[dict[str, object]]:
    """The rows up to the request that is one too many; their values are judged all the same.

    Raises:
        SourceUnavailable: that request would have repeated one that failed.
    """
    try:
        yield from rows
    except _Enough:
        if http.unanswered is not None:
            raise SourceUnavailable(http.unanswered) from None


def _at_most(turns: Turns, times: int) -> Turns:
    """Turns for so many requests; whoever wants one more is stopped."""
    left = times

    def take(queue: str, now_s: float, gap_s: float) -> float:
        nonlocal left
        if not left:
            raise _Enough
        left -= 1
        return turns(queue, now_s, gap_s)

    return take


def check_all(
    datasets: Iterable[Dataset], env: Mapping[str, str], *, now: datetime, sources: frozenset[str]
) -> Iterator[Finding]:
    """The findings, source by source; of `sources` only, unless that is empty."""
    places = {upstream.name: place for place, upstream in enumerate(UPSTREAMS)}
    external = [
        (collector_of(dataset).upstream.name, dataset)
        for dataset in datasets
        if isinstance(dataset.source, ExternalSource) and dataset.source.collect
    ]
    for name, dataset in sorted(external, key=lambda each: places[each[0]]):
        if not sources or name in sources:
            yield check(dataset, env, now=now)


def main(arguments: list[str], *, write: Callable[[str], object] = sys.stdout.write) -> None:
    """Write one line per dataset, as it is found out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", action="append", default=[], help="only this one")
    sources = frozenset(parser.parse_args(arguments).source)
    now = datetime.now(tz=UTC)
    for finding in check_all(load_catalog(), os.environ, now=now, sources=sources):
        write(msgspec.json.encode(finding).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
