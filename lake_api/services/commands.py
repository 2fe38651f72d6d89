"""What each command of a service does.

Belongs here: reading a command's payload, and the work that follows.
Does not belong here: when it runs and how it ends (`runner`), which service has it (`catalogue`).

A command first reads its payload, while the caller waits: what makes no sense is refused. What it
then gives back is the work, which runs after the answer.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

from lake_api.clock import Clock
from lake_api.datasets.visible import Visibility
from lake_api.errors import InvalidRequest
from lake_api.query.stats import EngineStats
from lake_api.tasks.dagster import DagsterClient
from lake_api.tasks.plan import plan_task
from lake_api.web.requests import invalid_field
from lake_assets.catalog import Catalog, Dataset

_ENSURE_BUCKET_TASK = "lake.ensure_bucket"


class EngineCommands(Protocol):
    """What commands need of the query engine."""

    async def status(self) -> Mapping[str, bool]:
        """Which of its parts work, by name."""
        ...

    def stats(self) -> EngineStats:
        """How its parts are doing."""
        ...

    async def relist(self, datasets: Sequence[Dataset]) -> int:
        """List datasets anew; how many days they have."""
        ...

    def drop_caches(self) -> int:
        """Drop all that no running query needs; how many bytes were freed."""
        ...

    async def recycle_workers(self) -> int:
        """Replace each worker as soon as it is free; how many were."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What commands act on."""

    engine: EngineCommands
    dagster: DagsterClient
    catalog: Catalog
    visibility: Visibility
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of the work: a result, or the task of Dagster that does the rest."""

    result: dict[str, Any] = field(default_factory=dict[str, Any])
    task_id: str | None = None


Work = Callable[[], Awaitable[Done]]
Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command. `payload` says what each of its arguments means; `prepare` reads them."""

    name: str
    description: str
    prepare: Callable[[Parts, Payload], Work]
    payload: Mapping[str, str] = field(default_factory=dict[str, str])


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of a command that takes none."""


class _Relist(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dataset: str | None = None


class _Materialize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    task: str
    kwargs: dict[str, Any] = {}


def _relist(parts: Parts, payload: Payload) -> Work:
    wanted = _read(payload, _Relist).dataset
    everything = parts.visibility.of(lambda _: True)
    datasets = everything.datasets
    if wanted is not None:
        found = everything.find(wanted)
        if found is None:
            raise InvalidRequest(
                "There is no dataset of this name.",
                code="unknown_dataset",
                field="payload.dataset",
                hint=everything.hint(wanted, otherwise="See the list of datasets."),
            )
        datasets = (found,)

    async def work() -> Done:
        days = await parts.engine.relist(datasets)
        return Done(result={"datasets": len(datasets), "days": days})

    return work


def _drop_caches(parts: Parts, payload: Payload) -> Work:
    _read(payload, _Nothing)

    async def work() -> Done:
        return Done(result={"freed_bytes": parts.engine.drop_caches()})

    return work


def _recycle_workers(parts: Parts, payload: Payload) -> Work:
    _read(payload, _Nothing)

    async def work() -> Done:
        return Done(result={"workers": await parts.engine.recycle_workers()})

    return work


def _ensure_bucket(parts: Parts, payload: Payload) -> Work:
    _read(payload, _Nothing)
    return _task(parts, _Materialize(task=_ENSURE_BUCKET_TASK))


def _materialize(parts: Parts, payload: Payload) -> Work:
    return _task(parts, _read(payload, _Materialize))


def _task(parts: Parts, wanted: _Materialize) -> Work:
    plan = plan_task(parts.catalog, wanted.task, wanted.kwargs, today=parts.clock().date())

    async def work() -> Done:
        return Done(task_id=await parts.dagster.launch(plan))

    return work


RELIST = Command(
    name="relist-snapshots",
    description="List the objects of one dataset, or of all, anew.",
    payload={"dataset": "SQL or partition name; all when left out."},
    prepare=_relist,
)
ENSURE_BUCKET = Command(
    name="ensure-bucket",
    description="Have Dagster create or verify the bucket and the rule that expires exports.",
    prepare=_ensure_bucket,
)
DROP_CACHES = Command(
    name="drop-caches",
    description="Drop kept answers, cached objects and segments that no running query needs.",
    prepare=_drop_caches,
)
RECYCLE_WORKERS = Command(
    name="recycle-workers",
    description="Replace each query worker as soon as it is free.",
    prepare=_recycle_workers,
)
MATERIALIZE = Command(
    name="materialize",
    description="Launch a task: one run for a day, a backfill for several.",
    payload={
        "task": "A trigger task's name.",
        "kwargs": "`date`, or `start_date` and `end_date`; the newest complete day without.",
    },
    prepare=_materialize,
)

_Read = TypeVar("_Read", bound=msgspec.Struct)


def _read(payload: Payload, kind: type[_Read]) -> _Read:
    try:
        return msgspec.convert(payload, kind)
    except msgspec.ValidationError as error:
        refused = invalid_field(str(error))
        inner = f"payload.{refused.field}" if refused.field else "payload"
        raise InvalidRequest(refused.detail, field=inner) from error
