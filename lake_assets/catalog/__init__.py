"""What a dataset is, in the standard library only: the one thing that both halves share."""

from lake_assets.catalog.declare import derived, event, external, recorded, snapshot
from lake_assets.catalog.layout import checks_key, data_key, dataset_prefix, day_of_key, version_key
from lake_assets.catalog.location import LakeLocation, LocationError
from lake_assets.catalog.model import (
    PARTITION_COLUMN,
    CatalogError,
    Column,
    ColumnType,
    Dataset,
    ExternalSource,
    Failures,
    Kind,
    LakeSource,
    PostgresSource,
    Reference,
    Schedule,
    ServiceSource,
    Shrink,
    ShrinkPolicy,
    Task,
)
from lake_assets.catalog.registry import Catalog, load_catalog

__all__ = [
    "PARTITION_COLUMN",
    "Catalog",
    "CatalogError",
    "Column",
    "ColumnType",
    "Dataset",
    "ExternalSource",
    "Failures",
    "Kind",
    "LakeLocation",
    "LakeSource",
    "LocationError",
    "PostgresSource",
    "Reference",
    "Schedule",
    "ServiceSource",
    "Shrink",
    "ShrinkPolicy",
    "Task",
    "checks_key",
    "data_key",
    "dataset_prefix",
    "day_of_key",
    "derived",
    "event",
    "external",
    "load_catalog",
    "recorded",
    "snapshot",
    "version_key",
]
