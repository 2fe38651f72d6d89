"""Which days the bucket has, asked of the bucket itself.

Belongs here: days by dataset, for commands that write what is missing.
Does not belong here: which days are due (`lake_assets.catalog.due`), the service's snapshots.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from lake_api.cli.failure import CommandFailed
from lake_api.query.reader_store import open_whole
from lake_assets.catalog import (
    Dataset,
    LakeLocation,
    LocationError,
    checks_key,
    dataset_prefix,
    day_of_key,
)

_LISTED_AT_ONCE = 8
_STATUS = "`lake status` says whether S3 runs."


class _Verdict(msgspec.Struct, frozen=True):
    etag: str
    blocks: bool = False


class _Verdicts(msgspec.Struct, frozen=True):
    days: dict[date, _Verdict]


def stored_days(
    settings: Mapping[str, str], datasets: Sequence[Dataset]
) -> Mapping[str, frozenset[date]]:
    """The days of each dataset that are there, but for those that failed a check that blocks.

    Raises:
        CommandFailed: the bucket does not answer, or is not configured.
    """
    try:
        store = open_whole(LakeLocation.from_mapping(settings, reader=True))
        with ThreadPoolExecutor(_LISTED_AT_ONCE) as pool:
            found = list(pool.map(partial(_good_days, store), datasets))
    except LocationError as error:
        raise CommandFailed(f"the bucket is not configured: {error}", hint=_STATUS) from error
    except BaseError as error:
        raise CommandFailed("the bucket does not answer", hint=_STATUS) from error
    return {dataset.partition: days for dataset, days in zip(datasets, found, strict=True)}


def _good_days(store: S3Store, dataset: Dataset) -> frozenset[date]:
    etags: dict[date, str] = {}
    is_judged = False
    for page in obstore.list(store, dataset_prefix(dataset)):
        for item in page:
            day = day_of_key(dataset, item["path"])
            if day is not None:
                etags[day] = (item["e_tag"] or "").strip('"')
            is_judged = is_judged or item["path"] == checks_key(dataset)
    verdicts = _verdicts(store, dataset) if is_judged else {}
    return frozenset(
        day
        for day, etag in etags.items()
        # A verdict is about one object: a day that was replaced since has none.
        if not ((known := verdicts.get(day)) and known.blocks and known.etag == etag)
    )


def _verdicts(store: S3Store, dataset: Dataset) -> Mapping[date, _Verdict]:
    try:
        content = bytes(obstore.get(store, checks_key(dataset)).bytes())
        return msgspec.json.decode(content, type=_Verdicts).days
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
