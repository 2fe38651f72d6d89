"""Engines inside a Python process of their own: two peers, and the floor.

Belongs here: starting that process, speaking with it.
Does not belong here: what it does (`engine_process`, which runs in the engine's environment).

They are timed inside their process, around the engine's call alone, which is in their favour.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

from benchmarks.query.contender import Answer, AskFailed, Contender, Load, in_threads
from benchmarks.query.lake import DATASETS
from benchmarks.query.venvs import PeerMissing, peer_environment
from lake_assets.catalog import LakeLocation, dataset_prefix

_ENGINE = Path(__file__).with_name("engine_process.py")
_PARALLEL_FETCHES = 32


class Embedded(Contender):
    """An engine inside a Python process that obeys lines of JSON."""

    def __init__(self, directory: Path, *, name: str, engine: str) -> None:
        super().__init__(directory)
        self.name = name
        self._engine = engine
        self._python = Path(sys.executable)
        self._process: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """Make the environment that it runs in."""
        self._python = peer_environment(self._engine, self.directory / "venvs") / "python"

    def start(self, location: LakeLocation) -> None:
        """Start the process, and the engine in it."""
        self._start(
            {
                "engine": self._engine,
                "host": location.endpoint.removeprefix("http://"),
                "bucket": location.bucket,
                "region": location.region,
                "access_key": location.access_key,
                "secret_key": location.secret_key,
                "tables": {
                    dataset.sql_name: f"{dataset_prefix(dataset)}date=*/data.parquet"
                    for dataset in DATASETS
                },
            }
        )

    def _start(self, options: Mapping[str, Any]) -> None:
        with (self.directory / f"{self._engine}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._python, _ENGINE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "TZ": "UTC"},
                cwd=self.directory,
            )
        try:
            self._call(options)
        except AskFailed as error:
            self.stop()
            raise PeerMissing(f"it does not start: {error}") from error

    def stop(self) -> None:
        """Close its input, which ends it; what does not end is killed."""
        process, self._process = self._process, None
        if process is None or process.stdin is None or process.stdout is None:
            return
        process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def _call(self, message: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise AskFailed("it is not running")
        try:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise AskFailed("its process ended") from None
        line = process.stdout.readline()
        if not line:
            raise AskFailed(f"its process ended, see {self._engine}.log")
        answer = json.loads(line)
        if "error" in answer:
            raise AskFailed(answer["error"].strip().splitlines()[0][:300])
        return answer

    def ask(self, sql: str) -> Answer:
        """One query, timed inside the process."""
        answer = self._call({"op": "query", "sql": sql})
        return Answer(taken_ms=answer["ms"], rows=answer["rows"])

    def load(
        self, clients: Sequence[Sequence[str]], seconds: float, *, pauses_s: Sequence[float] = ()
    ) -> Load:
        """Each client is a thread with a cursor of its own; none of them pauses."""
        if pauses_s:
            raise AskFailed("clients of an embedded engine do not pause")
        answer = self._call({"op": "load", "clients": clients, "seconds": seconds})
        return Load(
            taken=[(client, index, taken_ms) for client, index, taken_ms in answer["taken"]],
            failures=answer["failures"],
            seconds=answer["seconds"],
        )


class Floor(Embedded):
    """The same rows in a memory table of the engine that we run, in-process."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, name="memory table", engine="memory")

    def prepare(self) -> None:
        """It runs in this environment, which has the engine."""

    def start(self, location: LakeLocation) -> None:
        """Start it, and fill its tables from the objects of the lake."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.directory) as copy:
            copy_lake(location, Path(copy))
            globs = {
                dataset.sql_name: f"{copy}/{dataset_prefix(dataset)}date=*/data.parquet"
                for dataset in DATASETS
            }
            self._start({"engine": self._engine, "tables": globs})


def copy_lake(location: LakeLocation, target: Path) -> None:
    """Copy all objects of the lake below a directory, under their keys."""
    store = S3Store(
        location.bucket,
        endpoint=location.endpoint,
        region=location.region,
        access_key_id=location.access_key,
        secret_access_key=location.secret_key,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    keys = [
        item["path"]
        for dataset in DATASETS
        for page in obstore.list(store, dataset_prefix(dataset))
        for item in page
        if item["path"].endswith(".parquet")
    ]

    def copy(key: str) -> None:
        path = target / key
        path.parent.mkdir(parents=True)
        path.write_bytes(obstore.get(store, key).bytes())

    in_threads(
        [
            lambda part=keys[start::_PARALLEL_FETCHES]: [copy(key) for key in part]
            for start in range(_PARALLEL_FETCHES)
        ]
    )
