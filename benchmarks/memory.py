"""How much memory processes use, looked up again and again while something runs.

Belongs here: sampling `/proc`, peaks and sums.
Does not belong here: what is run meanwhile (`export_query`).

`Anonymous` is what a process has made itself; file-mapped pages are the page cache's and are given
back when memory is short. `Pss` counts pages that several processes share once in all of them
together, so sums of it are what a whole service takes. All in bytes.

Workers may not be looked into, but by root: to everybody else the kernel tells less of them, and
their `Pss` is not known, nor is a sum that it would be part of.
"""

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_SAMPLE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What one process, or several together, have at one moment; no `pss` where it is not told."""

    rss: int = 0
    pss: int | None = 0
    anonymous: int = 0

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(
            rss=self.rss + other.rss,
            pss=None if self.pss is None or other.pss is None else self.pss + other.pss,
            anonymous=self.anonymous + other.anonymous,
        )

    def or_more(self, other: "Memory") -> "Memory":
        """The larger of each figure."""
        return Memory(
            rss=max(self.rss, other.rss),
            pss=None if self.pss is None or other.pss is None else max(self.pss, other.pss),
            anonymous=max(self.anonymous, other.anonymous),
        )


@dataclass(slots=True, kw_only=True)
class Peaks:
    """The most that each process had, and the most that all had at one moment."""

    each: dict[int, Memory] = field(default_factory=dict[int, Memory])
    together: Memory = field(default_factory=Memory)

    def see(self, now: Mapping[int, Memory]) -> None:
        """Take another sample."""
        for pid, memory in now.items():
            self.each[pid] = self.each.get(pid, Memory()).or_more(memory)
        self.together = self.together.or_more(sum(now.values(), Memory()))


def memory_of(root: int) -> Mapping[int, Memory]:
    """A process and all of its descendants, by process id."""
    found: dict[int, Memory] = {}
    for pid in _family(root):
        memory = _read(pid)
        if memory is not None:
            found[pid] = memory
    return found


@contextmanager
def watched(root: int) -> Generator[Peaks]:
    """The peaks of a process and its descendants while the block runs."""
    peaks, over = Peaks(), threading.Event()

    def sample() -> None:
        while True:
            peaks.see(memory_of(root))
            if over.wait(_SAMPLE_S):
                return

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peaks
    finally:
        over.set()
        sampler.join()


def _family(root: int) -> Sequence[int]:
    try:
        parent = psutil.Process(root)
        return [root, *(child.pid for child in parent.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _read(pid: int) -> Memory | None:
    process = Path(f"/proc/{pid}")
    try:
        told = _kilobytes(process / "smaps_rollup")
    except OSError:
        told = {}  # it has ended, or may not be looked into
    if "Rss" in told:
        return Memory(
            rss=told["Rss"] * 1024, pss=told["Pss"] * 1024, anonymous=told["Anonymous"] * 1024
        )
    try:
        told = _kilobytes(process / "status")
    except (FileNotFoundError, ProcessLookupError):
        return None  # it has ended
    if "VmRSS" not in told:
        return None  # it has ended, and its parent does not know yet
    return Memory(rss=told["VmRSS"] * 1024, pss=None, anonymous=told["RssAnon"] * 1024)


def _kilobytes(file: Path) -> Mapping[str, int]:
    return {
        line.partition(":")[0]: int(line.split()[1])
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.endswith(" kB")
    }
