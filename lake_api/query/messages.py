"""What the API process and a query worker say to each other, and how it is framed.

Belongs here: message shapes and their encoding on a pipe.
Does not belong here: DuckDB, sockets, anything that acts on a message.

A frame is four bytes of length, then MessagePack. The worker is not trusted: whatever it says is
decoded into these shapes or counts as a lost worker.
"""

import struct
from datetime import date
from enum import Enum
from typing import BinaryIO

import msgspec

MAX_FRAME_BYTES = 256 * 1024 * 1024
QUERY_ID_SLOT = "query-id".ljust(32, "-")
"""Stands in an Arrow document where the query id of the call belongs, as long as one."""

ELAPSED_MS_SLOT = "elapsed-ms".ljust(16, "-")
"""Stands in an Arrow document where the milliseconds of the call belong."""

_LENGTH = struct.Struct(">I")


class Form(Enum):
    """What rows are written as."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


class FileForm(Enum):
    """What a result that is streamed out is written as."""

    ROWS = "rows"
    """Kept for reading pages of it: an Arrow file of batches of `ROWS_PER_BATCH`."""
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"
    AVRO = "avro"


class Compression(Enum):
    """How a file is compressed: Parquet inside, the others as a whole."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


ROWS_PER_BATCH = 8_192
"""Rows of each batch of a kept result but the last, so that a page is found without an index."""


class WorkerConfig(msgspec.Struct, frozen=True):
    """The first frame that a worker reads: where it may read, and how much it may use."""

    objects_dir: str
    database: str
    canary: str
    memory_bytes: int
    address_space_bytes: int
    threads: int
    niceness: int = 0


class FileGroup(msgspec.Struct, frozen=True):
    """Files with one schema; `columns` are the names and DuckDB types of their columns.

    `misread` are columns of floats that have statistics in some of the files, which leave NaN out:
    the engine must not use them.
    """

    columns: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    misread: tuple[str, ...] = ()


class SegmentScan(msgspec.Struct, frozen=True):
    """Rows of a segment: all of its days, or those within `ranges` (first and last included)."""

    file: str
    ranges: tuple[tuple[date, date], ...] = ()


class View(msgspec.Struct, frozen=True):
    """A dataset as one query sees it: declared columns over the planned files and segment.

    `new_files` are files whose schema nobody has read yet.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    groups: tuple[FileGroup, ...]
    new_files: tuple[str, ...] = ()
    segment: SegmentScan | None = None


class CompactJob(msgspec.Struct, frozen=True):
    """A segment to build: the rows of `view`, written to the file `target`."""

    view: View
    target: str
    readable: list[str]
    memory_bytes: int


class ValueFilter(msgspec.Struct, frozen=True):
    """Texts that a query compares a column of a view with; `accepted` are the declared values."""

    view: str
    column: str
    texts: tuple[str, ...]
    accepted: tuple[str, ...]


class Job(msgspec.Struct, frozen=True, tag="job"):
    """One query.

    `top_n` says that the text orders its rows and has no LIMIT of its own. With `bind_only` the
    engine says whether it would run the text, and does not run it. `metadata` and `warnings` are
    what an Arrow document says of itself beside what the worker knows. `filters` are looked at
    when nothing was found.
    """

    id: int
    sql: str
    views: tuple[View, ...]
    row_cap: int
    byte_cap: int
    top_n: bool = False
    bind_only: bool = False
    form: Form = Form.JSON
    metadata: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    filters: tuple[ValueFilter, ...] = ()


class StoredRows(msgspec.Struct, frozen=True):
    """A kept result: its file, and what its columns were called by the query that made it."""

    file: str
    columns: tuple[str, ...]
    column_types: tuple[str, ...]


class Extraction(msgspec.Struct, frozen=True, tag="extraction"):
    """A query, or a kept result, whose rows are streamed out as one file.

    The caps end the file at a batch: it is whole, and its end says that it is truncated.
    """

    id: int
    form: FileForm
    row_cap: int
    byte_cap: int
    compression: Compression = Compression.NONE
    sql: str = ""
    views: tuple[View, ...] = ()
    stored: StoredRows | None = None


class PageRead(msgspec.Struct, frozen=True, tag="page"):
    """Some rows of a kept result, as JSON. `text_columns` are given as text whatever they hold."""

    id: int
    stored: StoredRows
    first_row: int
    rows: int
    byte_cap: int
    text_columns: tuple[int, ...] = ()
    sql: str = ""
    views: tuple[View, ...] = ()


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop the job, if it is the one that runs."""

    id: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker has proved that it is locked, and serves."""


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The worker could not prove that it is locked, and ends."""

    reason: str


class FileFacts(msgspec.Struct, frozen=True):
    """What a file's footer says; `columns` is None for a file that can't be read.

    `misread` is as in `FileGroup`. `lacks` are declared columns that the file does not have, and
    `written_for` the dataset that the lake wrote such a file for; empty for one from elsewhere.
    """

    file: str
    columns: tuple[tuple[str, str], ...] | None
    misread: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    written_for: str = ""


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """The rows of a job, and the facts of its new files.

    `rows_json` is a JSON array of arrays. In the other forms it is empty, and `document` is all of
    the CSV or Arrow stream.
    """

    id: int
    columns: tuple[str, ...]
    column_types: tuple[str, ...]
    rows_json: bytes
    row_count: int
    truncated: bool
    warnings: tuple[str, ...]
    stages_ms: dict[str, float]
    facts: tuple[FileFacts, ...]
    document: bytes = b""


class Chunk(msgspec.Struct, frozen=True, tag="chunk"):
    """The next bytes of a file; `rows` were written so far."""

    id: int
    data: bytes
    rows: int


class Extracted(msgspec.Struct, frozen=True, tag="extracted"):
    """The end of a file, after its last chunk.

    `text_columns` have numbers that JavaScript can't hold exactly (kept results only).
    """

    id: int
    columns: tuple[str, ...]
    column_types: tuple[str, ...]
    row_count: int
    truncated: bool
    warnings: tuple[str, ...]
    stages_ms: dict[str, float]
    facts: tuple[FileFacts, ...]
    text_columns: tuple[int, ...] = ()


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """Why a job has no rows. `offset` counts characters of the caller's text.

    `rejected` tells the caller's fault from the engine's; `recycle` says that this worker should
    not serve another query.
    """

    id: int
    rejected: bool
    code: str
    detail: str
    hint: str | None = None
    fragment: str | None = None
    offset: int | None = None
    retry: bool = False
    recycle: bool = False
    facts: tuple[FileFacts, ...] = ()


Work = Job | Extraction | PageRead
ToWorker = Work | Cancel
FromWorker = Ready | Refused | Answer | Chunk | Extracted | Failure

_encoder = msgspec.msgpack.Encoder()
decode_compact = msgspec.msgpack.Decoder(CompactJob).decode
decode_config = msgspec.msgpack.Decoder(WorkerConfig).decode
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
decode_from_worker = msgspec.msgpack.Decoder(FromWorker).decode


def to_frame(message: WorkerConfig | ToWorker | FromWorker | CompactJob) -> bytes:
    """The bytes of a message on the pipe."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def frame_length(header: bytes) -> int:
    """The length that a frame's first four bytes announce.

    Raises:
        ValueError: it is more than any frame has.
    """
    (length,) = _LENGTH.unpack(header)
    if length > MAX_FRAME_BYTES:
        raise ValueError("the frame is too long")
    return length


def read_frame(pipe: BinaryIO) -> bytes | None:
    """The next frame's body, or None when the other side has closed the pipe."""
    header = pipe.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    length = frame_length(header)
    body = pipe.read(length)
    return body if len(body) == length else None
