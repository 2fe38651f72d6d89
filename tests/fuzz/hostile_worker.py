"""One worker process, asked whatever a test likes, with canaries wherever it must not reach.

The worker stands in a directory of canary files, has a canary in its environment, and a canary
dataset in its cache. With `vote=False` the second parser's vote agrees with everything, so that
only the locked process stands between a text and the canaries.
"""

import contextlib
import os
import re
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from lake_api.query.messages import (
    Answer,
    Cancel,
    CompactJob,
    Failure,
    Job,
    Ready,
    SegmentScan,
    View,
    WorkerConfig,
    decode_from_worker,
    to_frame,
)
from lake_api.query.worker.compact import build

FILE_CANARY = "canaryfile2718281828"
ENVIRONMENT_CANARY = "canaryenvironment3141592653"
DATASET_CANARY = "canarydataset1414213562"
CANARIES = tuple(
    text.encode() for text in (FILE_CANARY, ENVIRONMENT_CANARY, DATASET_CANARY, "root:x:0:0")
)
"""What no answer and no error may ever hold; the last is in every /etc/passwd."""

_PATH = re.compile(r"""['"(/ ]([\w.-]+\.(?:csv|parquet|json|ndjson|txt|db|duckdb|pem|env|tsv))\b""")
_OUTSIDE = re.compile(r"/(?:etc|tmp|root|home|var)/(?=[\w*.])")
_FRAME = struct.Struct(">I")
_SERVE = "from lake_api.query.worker.__main__ import main; main()"
_WITHOUT_VOTE = (
    "import lake_api.query.worker.session as s; "
    "s.Session.__init__.__kwdefaults__['vote'] = lambda *a, **k: None; "
)


class Gone(Exception):
    """The worker ended, or was ended because it did not stop."""


@dataclass
class HostileWorker:
    """A worker that is started again when it is lost; `asked` and `lost` count."""

    directory: Path
    vote: bool = True
    deadline_s: float = 0.5
    grace_s: float = 0.5
    memory_bytes: int = 200_000_000
    address_space_bytes: int = 1_000_000_000
    asked: int = 0
    lost: int = 0
    segments: list[View] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("objects", "engine", "outside"):
            (self.directory / name).mkdir()
        (self.directory / "engine" / "canary.txt").write_text(FILE_CANARY)
        forbidden = self.objects / "raw" / "forbidden" / "date=2026-11-01"
        forbidden.mkdir(parents=True)
        pq.write_table(pa.table({"a": [DATASET_CANARY]}), forbidden / "data.parquet")

    @property
    def objects(self) -> Path:
        """The object cache, where the worker may read."""
        return self.directory / "objects"

    @property
    def outside(self) -> Path:
        """The canary files, where the worker stands and may not read."""
        return self.directory / "outside"

    @property
    def config(self) -> WorkerConfig:
        """What a worker over these directories reads first."""
        return WorkerConfig(
            objects_dir=str(self.objects),
            database=str(self.directory / "engine" / "empty.duckdb"),
            canary=str(self.directory / "engine" / "canary.txt"),
            memory_bytes=self.memory_bytes,
            address_space_bytes=self.address_space_bytes,
            threads=1,
        )

    def plant(self, texts: Iterable[str]) -> None:
        """Make a canary file of every file name that the texts mention."""
        names = {name for text in texts for name in _PATH.findall(text)}
        for name in sorted({"passwd", "hosts", "shadow", "x", "canary.csv", *names}):
            path = self.outside / name
            if name.endswith(".parquet"):
                pq.write_table(pa.table({"a": [FILE_CANARY]}), path)
            else:
                path.write_text(f"a,b\n{FILE_CANARY},1\n")

    def keep_segment(self, view: View) -> View:
        """Build a segment of the view's files; each worker that starts has it attached.

        Returns the view that reads the segment.
        """
        folder = self.objects / "segments"
        folder.mkdir(exist_ok=True)
        path = folder / f"s{len(self.segments)}.duckdb"
        build(
            CompactJob(
                view=view,
                target=str(path),
                readable=[str(self.objects)],
                memory_bytes=self.memory_bytes,
            )
        )
        kept = msgspec.structs.replace(view, groups=(), segment=SegmentScan(file=str(path)))
        self.segments.append(kept)
        self.stop()
        return kept

    def aim(self, sql: str) -> str:
        """The text with its absolute paths leading to the canary files."""
        return _OUTSIDE.sub(f"{self.outside}/", sql)

    def ask(
        self,
        sql: str,
        views: Sequence[View] = (),
        *,
        rows: int = 1_000,
        deadline_s: float | None = None,
    ) -> Answer | Failure:
        """What the worker says.

        Raises:
            Gone: it ended, or did not stop in time; the next question starts another one.
        """
        self.asked += 1
        job = Job(
            id=self.asked, sql=sql, views=tuple(views), row_cap=rows, byte_cap=10**6, top_n=False
        )
        self._send(job)
        reply = self._receive(self.deadline_s if deadline_s is None else deadline_s)
        if reply is None:
            self._send(Cancel(id=job.id))
            reply = self._receive(self.grace_s)
        if reply is None:
            self.lost += 1
            self.stop()
            raise Gone("it did not stop")
        message = decode_from_worker(reply)
        assert isinstance(message, Answer | Failure)
        assert message.id == job.id
        if isinstance(message, Failure) and message.recycle:
            self.stop()
        return message

    def _start(self) -> subprocess.Popen[bytes]:
        code = _SERVE if self.vote else _WITHOUT_VOTE + _SERVE
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.outside,
            env={"LANG": ENVIRONMENT_CANARY, "TZ": "UTC"},
            bufsize=0,
        )
        self._process = process
        self._send(self.config)
        reply = self._receive(30)
        assert reply is not None
        assert decode_from_worker(reply) == Ready(), reply
        if self.segments:
            assert isinstance(self.ask("SELECT 1", self.segments, deadline_s=10), Answer)
        return process

    def _send(self, message: WorkerConfig | Job | Cancel) -> None:
        process = self._process or self._start()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it shows when its answer is read
            process.stdin.write(to_frame(message))

    def _receive(self, timeout_s: float) -> bytes | None:
        """The next frame's body; None when it does not come in time."""
        until = time.monotonic() + timeout_s
        header = self._read(_FRAME.size, until)
        if header is None:
            return None
        # A frame that has begun is all but there.
        body = self._read(_FRAME.unpack(header)[0], until + 5)
        assert body is not None
        return body

    def _read(self, size: int, until: float) -> bytes | None:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        found = b""
        while len(found) < size:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            piece = os.read(pipe, size - len(found))
            if not piece:
                self.lost += 1
                self.stop()
                raise Gone("it ended")
            found += piece
        return found

    def stop(self) -> None:
        """End the process; asking again starts another one."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.kill()
            process.wait(timeout=10)
            process.stdin.close()
            process.stdout.close()

    def __enter__(self) -> "HostileWorker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def told(reply: Answer | Failure) -> bytes:
    """Every byte of a reply that could reach a caller."""
    return to_frame(reply)
