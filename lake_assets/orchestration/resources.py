"""What runs connect to: the bucket and the databases, found when a run needs them.

Belongs here: turning settings into connections, at run time only.
Does not belong here: using the connections.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

import dagster as dg

from lake_assets.catalog import Dataset, LakeLocation, LocationError
from lake_assets.catalog.settings import (
    SettingsError,
    platform_database_url,
    read_lake_setting,
)
from lake_assets.storage.store import LakeStore

_LISTED_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeResource:
    """The bucket, as the writer. `env` is read when a run asks, not when Dagster loads."""

    env: Mapping[str, str] = field(repr=False)

    @property
    def location(self) -> LakeLocation:
        """The endpoint and the writer's identity.

        Raises:
            dagster.Failure: a setting is missing; a retry would not help.
        """
        try:
            return LakeLocation.from_mapping(self.env)
        except LocationError as error:
            raise dg.Failure(f"The lake is not configured: {error}", allow_retries=False) from error

    def store(self) -> LakeStore:
        """The bucket's objects."""
        return _store(self.location)

    def s3_client(self) -> Any:
        """A boto3 client, for what is done to the bucket itself."""
        # boto3 takes most of a second to import, and only one job wants it.
        from dagster_aws.s3 import S3Resource  # noqa: PLC0415

        location = self.location
        return S3Resource(
            endpoint_url=location.endpoint,
            region_name=location.region,
            aws_access_key_id=location.access_key,
            aws_secret_access_key=location.secret_key,
        ).get_client()


@cache
def _store(location: LakeLocation) -> LakeStore:
    # A run asks for its store several times; each new one would make its connections anew.
    return LakeStore(location)


def days_by_dataset(
    store: LakeStore, datasets: Sequence[Dataset]
) -> Iterator[tuple[Dataset, Sequence[date]]]:
    """The stored days of each dataset, ascending, listed a few datasets at a time.

    Raises:
        StorageError: the store did not answer; a retry may help.
    """
    with ThreadPoolExecutor(_LISTED_AT_ONCE) as pool:
        yield from zip(datasets, pool.map(store.days, datasets), strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceResource:
    """The query service's own database, to read from."""

    env: Mapping[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        """Its URL, as the service is given it.

        Raises:
            dagster.Failure: it is not set; a retry would not help.
        """
        url = self.env.get("LAKE_DATABASE_URL", "").strip()
        if not url:
            raise dg.Failure(
                "The query service's database is not configured: set LAKE_DATABASE_URL as for the "
                "service",
                allow_retries=False,
            )
        return url


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformResource:
    """The platform database, read-only."""

    env: Mapping[str, str] = field(repr=False)

    @property
    def lock_timeout_s(self) -> float:
        """How long a locked table is waited for.

        Raises:
            dagster.Failure: the setting is no number of seconds; a retry would not help.
        """
        return self._setting("LAKE_PLATFORM_LOCK_TIMEOUT_S")

    @property
    def late_rows_days(self) -> int:
        """How many days are compared with the lake once a week.

        Raises:
            dagster.Failure: the setting is no number of days; a retry would not help.
        """
        return self._setting("LAKE_LATE_ROWS_DAYS")

    def _setting(self, name: str) -> Any:
        try:
            return read_lake_setting(name, self.env)
        except SettingsError as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    @property
    def url(self) -> str:
        """The libpq URL.

        Raises:
            dagster.Failure: it is not set, or names no Postgres; a retry would not help.
        """
        try:
            url = platform_database_url(self.env)
        except SettingsError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        if not url:
            raise dg.Failure(
                "The platform database is not configured: set PLATFORM_DATABASE_URL",
                allow_retries=False,
            )
        return url
