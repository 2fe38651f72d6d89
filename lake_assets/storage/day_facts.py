"""What is known of a dataset's days beside their rows: measures and verdicts, in one small object.

The object lies beside the data, so that the next check has a history without reading any day again,
and the query service can say which days failed one. A verdict names the ETag of the object that it
is about: a day that somebody else replaced since has none.

Belongs here: the shape of the object, reading and merging it.
Does not belong here: verdicts (`orchestration.judge`), the reader's side (`lake_api`).
"""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from lake_assets.catalog import Dataset, checks_key
from lake_assets.storage.store import LakeStore

KEPT_DAYS = 400
"""The newest days whose facts are kept: a year to compare with, in some tens of kilobytes."""


class DayFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """One written day. `failed` says by check what was found; `blocks` if it is no input.

    `failures` are the rows that tell of something that failed; None where nobody counted.
    """

    etag: str
    rows: int
    nulls: dict[str, int] = {}
    failures: int | None = None
    failed: dict[str, str] = {}
    blocks: bool = False


class _FactBook(msgspec.Struct, frozen=True):
    days: dict[date, DayFacts]


def read_facts(store: LakeStore, dataset: Dataset) -> dict[date, DayFacts]:
    """The facts of a dataset's days; none of an object that is not ours.

    Raises:
        StorageError: the store did not answer; a retry may help.
    """
    return _decoded(store.get_small(checks_key(dataset)))


def good_days(store: LakeStore, dataset: Dataset) -> frozenset[date]:
    """The days that the bucket has, but for those whose object failed a check that blocks.

    Raises:
        StorageError: the store did not answer; a retry may help.
    """
    etags = store.etags(dataset)
    facts = read_facts(store, dataset) if etags else {}
    return frozenset(
        day
        for day, etag in etags.items()
        # A verdict is about one object: a day that was replaced since has none.
        if not ((known := facts.get(day)) and known.blocks and known.etag == etag.strip('"'))
    )


def _decoded(content: bytes | None) -> dict[date, DayFacts]:
    if content is None:
        return {}
    try:
        return msgspec.json.decode(content, type=_FactBook).days
    except msgspec.DecodeError:
        return {}


def merge_facts(store: LakeStore, dataset: Dataset, facts: Mapping[date, DayFacts]) -> None:
    """Put the facts of days that were just written beside those of the others.

    Raises:
        StorageError: the store did not answer; a retry may help.
    """

    def merged(content: bytes | None) -> bytes:
        days = _decoded(content) | dict(facts)
        newest = sorted(days)[-KEPT_DAYS:]
        return msgspec.json.encode(_FactBook(days={day: days[day] for day in newest}))

    store.update_small(checks_key(dataset), merged)


def merge_facts_of_stored(
    store: LakeStore, dataset: Dataset, facts: Mapping[date, DayFacts]
) -> None:
    """The same, of those days whose object is still the one that was judged.

    A long run merges what it wrote at its end; another run may have written and judged one of its
    days since, and that verdict is the one that counts.

    Raises:
        StorageError: the store did not answer; a retry may help.
    """

    def merged(content: bytes | None) -> bytes:
        # Looked up anew where others write facts at the same time.
        stored = {day: etag.strip('"') for day, etag in store.etags(dataset).items()}
        days = _decoded(content)
        days |= {day: one for day, one in facts.items() if stored.get(day) == one.etag.strip('"')}
        newest = sorted(days)[-KEPT_DAYS:]
        return msgspec.json.encode(_FactBook(days={day: days[day] for day in newest}))

    store.update_small(checks_key(dataset), merged)


def change_facts(
    store: LakeStore, dataset: Dataset, changes: Mapping[date, tuple[DayFacts, DayFacts]]
) -> Sequence[date]:
    """Replace facts by others, each only while it is the one that was read; which were replaced.

    A run that wrote the day meanwhile has judged another object: its verdict stays.

    Raises:
        StorageError: the store did not answer; a retry may help.
    """
    replaced: list[date] = []

    def changed(content: bytes | None) -> bytes:
        days = _decoded(content)
        # Where others write at the same time, this is done again with what they wrote.
        replaced[:] = [day for day, (before, _) in changes.items() if days.get(day) == before]
        return msgspec.json.encode(
            _FactBook(days=days | {day: changes[day][1] for day in replaced})
        )

    store.update_small(checks_key(dataset), changed)
    return replaced


def reattach_facts(
    store: LakeStore, dataset: Dataset, day: date, *, before: str, after: str
) -> None:
    """Let the facts of a day be about the object `after`, which has the rows of `before`.

    Facts about any other object stay as they are: somebody else wrote the day meanwhile.

    Raises:
        StorageError: the store did not answer; a retry may help.
    """

    def changed(content: bytes | None) -> bytes:
        days = _decoded(content)
        known = days.get(day)
        if known is not None and known.etag == before:
            days[day] = msgspec.structs.replace(known, etag=after.strip('"'))
        return msgspec.json.encode(_FactBook(days=days))

    store.update_small(checks_key(dataset), changed)
