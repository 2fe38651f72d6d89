"""Where a dataset's objects lie in the bucket: (dataset, day) ↔ object key.

Belongs here: the one path rule, used by the writer and the reader alike.
Does not belong here: reading, writing or listing objects.

The bucket tree:

    raw/{partition}/date=YYYY-MM-DD/data.parquet      exported and collected datasets
    derived/{…}/date=YYYY-MM-DD/data.parquet          datasets whose partition starts with derived/
    {dataset prefix}_version.json                     changes whenever a partition is replaced
    {dataset prefix}_checks.json                      what checks found, by day
    exports/                                          one-off exports, gone after 7 days
"""

from datetime import date

from lake_assets.catalog.model import PARTITION_COLUMN, Dataset

BUCKET = "ainative-lake"
EXPORTS_PREFIX = "exports/"
EXPORTS_TTL_D = 7
DATA_FILE = "data.parquet"
VERSION_FILE = "_version.json"
CHECKS_FILE = "_checks.json"


def dataset_prefix(dataset: Dataset) -> str:
    """The key prefix of everything that belongs to a dataset; ends with a slash."""
    return _prefix(dataset.partition)


def _prefix(partition: str) -> str:
    root = "" if partition.startswith("derived/") else "raw/"
    return f"{root}{partition}/"


def data_key(dataset: Dataset, day: date) -> str:
    """The key of the one object that holds a dataset's day."""
    return key_of_day(dataset.partition, day)


def key_of_day(partition: str, day: date) -> str:
    """The same for a dataset that is only known by name."""
    return f"{_prefix(partition)}{PARTITION_COLUMN}={day.isoformat()}/{DATA_FILE}"


def version_key(dataset: Dataset) -> str:
    """The key of the small object that the writer replaces after each write."""
    return f"{dataset_prefix(dataset)}{VERSION_FILE}"


def checks_key(dataset: Dataset) -> str:
    """The key of the small object that says per day what was measured and which checks failed."""
    return f"{dataset_prefix(dataset)}{CHECKS_FILE}"


def day_of_key(dataset: Dataset, key: str) -> date | None:
    """The day of an object of this dataset, or None for a key that is no partition's data."""
    prefix = f"{dataset_prefix(dataset)}{PARTITION_COLUMN}="
    suffix = f"/{DATA_FILE}"
    if not (key.startswith(prefix) and key.endswith(suffix)):
        return None
    text = key[len(prefix) : -len(suffix)]
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # fromisoformat also takes 20261121 and week dates, which data_key never writes.
    return day if day.isoformat() == text else None
