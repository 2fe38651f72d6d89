"""Where a text is tried: through guard and worker together, and each parser alone.

    both        guard → vote → locked engine, as in the service
    guard       guard → locked engine, with a vote that agrees with everything
    vote        vote → locked engine, without a guard

Each way has a worker of its own with the same cache: a day of every dataset, one of which the
caller may not read and holds nothing but canaries. That one and some others are attached as
segments, too.
"""

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake_api.errors import QueryRejected
from lake_api.query.guard import CheckedQuery, Guard
from lake_api.query.messages import Answer, Failure, FileGroup, View
from lake_assets.catalog import Dataset, data_key
from tests.fuzz.hostile_worker import CANARIES, DATASET_CANARY, Gone, HostileWorker, told
from tests.fuzz.texts import CATALOG, FORBIDDEN, READABLE
from tests.query.every_dataset import rows_of
from tests.query.guard_cases import REJECTED

DAY = date(2026, 11, 1)

_IN_SEGMENTS = frozenset({FORBIDDEN, *(one.sql_name for one in READABLE[::3])})


class Seen(AssertionError):
    """A caller was told what it must not know."""


@dataclass
class Findings:
    """What happened: how many texts came how far, and what is worth a look."""

    counts: Counter[str] = field(default_factory=Counter)
    unstoppable: list[str] = field(default_factory=list)
    """Texts that passed the guard and did not stop when they were told to."""
    faults: list[str] = field(default_factory=list)
    """Texts that passed the guard and harmed the engine."""
    slowest: tuple[int, str] = (0, "")
    """The text that took the guard longest, and its milliseconds."""


def forbidden_rows(dataset: Dataset) -> pa.Table:
    """Rows with the canary in every text."""
    table = pa.Table.from_batches([rows_of(dataset, DAY)])
    for index, name in enumerate(table.schema.names):
        if pa.types.is_string(table.schema.field(name).type):
            canary = pa.repeat(DATASET_CANARY, table.num_rows)
            table = table.set_column(index, name, pc.cast(canary, pa.string()))
    return table


class Arena:
    """Three workers and a guard; `try_text` raises when a canary is seen."""

    def __init__(self, directory: Path) -> None:
        self.findings = Findings()
        self.guard = Guard(CATALOG)
        self._stack = ExitStack()
        self._workers: dict[str, HostileWorker] = {}
        for way in ("both", "guard", "vote"):
            (directory / way).mkdir()
            worker = HostileWorker(directory / way, vote=way != "guard")
            worker.plant(case.sql for case in REJECTED)
            for dataset in CATALOG:
                self._write(worker, dataset)
            for dataset in CATALOG:
                if dataset.sql_name in _IN_SEGMENTS:
                    worker.keep_segment(view(worker, dataset))
            self._workers[way] = self._stack.enter_context(worker)

    def __enter__(self) -> "Arena":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @staticmethod
    def _write(worker: HostileWorker, dataset: Dataset) -> None:
        path = worker.objects / data_key(dataset, DAY)
        path.parent.mkdir(parents=True)
        rows = pa.Table.from_batches([rows_of(dataset, DAY)])
        pq.write_table(forbidden_rows(dataset) if dataset.sql_name == FORBIDDEN else rows, path)

    def try_text(self, text: str) -> None:
        """Send the text down every way.

        Raises:
            Seen: it was answered with something that its caller must not see.
        """
        sql = self._workers["both"].aim(text)
        checked = self.check(sql)
        if checked is not None:
            self.findings.counts["passed the guard"] += 1
            reply = self._ask("both", sql, checked.datasets)
            if isinstance(reply, Answer):
                self.findings.counts["answered"] += 1
            elif reply is None:
                self.findings.unstoppable.append(sql)
            elif reply.code == "engine_error":
                self.findings.faults.append(sql)
            self._ask("guard", sql, checked.datasets)
        named = [one for one in READABLE if one.sql_name in sql.lower()]
        reply = self._ask("vote", sql, named)
        if isinstance(reply, Answer):
            self.findings.counts["passed the vote"] += 1

    def check(self, sql: str) -> CheckedQuery | None:
        """The guard's verdict; a refusal must not tell of a dataset that is not the caller's."""
        self.findings.counts["texts"] += 1
        started = time.perf_counter()
        try:
            checked = self.guard.check(sql, may_read=lambda one: one.sql_name != FORBIDDEN)
        except QueryRejected as refused:
            problem = refused.to_problem()
            said = f"{problem.detail} {problem.hint}"
            if FORBIDDEN in said and FORBIDDEN not in sql.lower():
                raise Seen(f"the name of a dataset: {sql!r}") from None
            return None
        finally:
            taken_ms = (time.perf_counter() - started) * 1_000
            self.findings.slowest = max(self.findings.slowest, (round(taken_ms), sql))
        if FORBIDDEN in {one.sql_name for one in checked.datasets}:
            raise Seen(f"a forbidden dataset passed: {sql!r}")
        return checked

    def _ask(self, way: str, sql: str, datasets: Iterable[Dataset]) -> Answer | Failure | None:
        worker = self._workers[way]
        try:
            reply = worker.ask(sql, [view(worker, one) for one in datasets])
        except Gone:
            self.findings.counts[f"{way}: worker lost"] += 1
            return None
        look(reply, sql=sql, inside=str(worker.objects), way=way)
        return reply


def view(worker: HostileWorker, dataset: Dataset) -> View:
    """A dataset over its one file, or over its segment."""
    for kept in worker.segments:
        if kept.name == dataset.sql_name:
            return kept
    columns = tuple((column.name, column.type.sql) for column in dataset.columns)
    file = str(worker.objects / data_key(dataset, DAY))
    return View(
        name=dataset.sql_name,
        columns=columns,
        groups=(FileGroup(columns=columns, files=(file,)),),
    )


def look(reply: Answer | Failure, *, sql: str, inside: str, way: str) -> None:
    """Refuse a reply that tells what it must not.

    Raises:
        Seen: it does.
    """
    said = told(reply)
    asked = sql.encode(errors="replace")
    for secret in (*CANARIES, inside.encode()):
        if secret in said and secret not in asked:
            raise Seen(f"{secret.decode()} by {way}: {sql!r}: {said[:2_000]!r}")
