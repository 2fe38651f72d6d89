"""What a job leaves: its object, and what is known of it.

Belongs here: names of objects and files, and the shape of what is stored of a result.
Does not belong here: storing either (`store`, `lake_api.exports.objects`).
"""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from lake_api.errors import Problem
from lake_api.jobs.table import JobRow
from lake_api.query.answers import freshness_of
from lake_api.query.messages import Compression, FileForm, StoredRows
from lake_api.query.results import Extract
from lake_api.query.schemas import DatasetFreshness
from lake_assets.catalog.layout import EXPORTS_PREFIX

_KEY = re.compile(r".*/([0-9a-f-]{36})-([0-9]+)\.[a-z.]+")
_ENDINGS = {Compression.NONE: "", Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}
_MEDIA_TYPES = {
    FileForm.ROWS: "application/vnd.apache.arrow.file",
    FileForm.CSV: "text/csv",
    FileForm.JSONL: "application/x-ndjson",
    FileForm.PARQUET: "application/vnd.apache.parquet",
    FileForm.ARROW: "application/vnd.apache.arrow.stream",
    FileForm.AVRO: "application/vnd.apache.avro",
}
_WRAPPED = {Compression.GZIP: "application/gzip", Compression.ZSTD: "application/zstd"}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job that has succeeded."""

    columns: tuple[str, ...]
    column_types: tuple[str, ...]
    text_columns: tuple[int, ...]
    row_count: int
    truncated: bool
    bytes: int
    freshness: tuple[DatasetFreshness, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileType:
    """What a file is called at its end, and as what it is served."""

    ending: str
    media_type: str


def file_type(form: FileForm, compression: Compression) -> FileType:
    """Parquet is compressed inside, the others as a whole."""
    if compression is Compression.NONE or form is FileForm.PARQUET:
        return FileType(ending=form.value, media_type=_MEDIA_TYPES[form])
    return FileType(ending=form.value + _ENDINGS[compression], media_type=_WRAPPED[compression])


def file_type_of(job: JobRow) -> FileType:
    """The file type of a job's object."""
    return file_type(FileForm(job.form), Compression(job.compression))


def objects_prefix(deployment: UUID) -> str:
    """Below which all objects of a deployment's jobs and exports are."""
    return f"{EXPORTS_PREFIX}sql/{deployment}/"


def object_key(deployment: UUID, job: JobRow, *, attempt: int | None = None) -> str:
    """Where an attempt of a job, by default the last one, puts its object."""
    number = job.attempt if attempt is None else attempt
    return f"{objects_prefix(deployment)}{job.id}-{number}.{file_type_of(job).ending}"


def owner_of_key(key: str) -> tuple[UUID, int] | None:
    """The job and the attempt that an object is of, or None when it is none of ours."""
    found = _KEY.fullmatch(key)
    try:
        return (UUID(found[1]), int(found[2])) if found else None
    except ValueError:
        return None


def result_of(extract: Extract, *, source: Result | None) -> Result:
    """What is known of a file, but its size; one of a kept result is as fresh as that is."""
    return Result(
        columns=extract.columns,
        column_types=extract.column_types,
        text_columns=extract.text_columns,
        row_count=extract.row_count,
        truncated=extract.truncated or (source is not None and source.truncated),
        bytes=0,
        freshness=source.freshness if source else freshness_of(extract.freshness),
        warnings=(*(source.warnings if source else ()), *extract.warnings),
    )


def stored_result(job: JobRow) -> Result:
    """What is known of a job that has succeeded."""
    return msgspec.convert(job.result, Result)


def problem_of(job: JobRow) -> Problem | None:
    """Why a job has failed."""
    return None if job.error is None else msgspec.convert(job.error, Problem)


def to_stored(result: Result) -> dict[str, Any]:
    """The same, as the table has it."""
    return msgspec.to_builtins(result)


def stored_rows(job: JobRow, file: str) -> StoredRows:
    """A kept result whose object was copied to a file."""
    result = stored_result(job)
    return StoredRows(file=file, columns=result.columns, column_types=result.column_types)
