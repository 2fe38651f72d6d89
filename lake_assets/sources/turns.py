"""When the next request may be sent: turns, within one run or among all runs of a machine.

Belongs here: handing out turns at an even pace, so that no second ever sees a burst.
Does not belong here: waiting for them (`http`), how fast a source may be asked (`config`).

A source counts what comes from our address, not what comes from a run. Dagster's pools keep runs of
one source apart, but a pool's limit can be raised, and other commands ask sources as well. So runs
agree through a file: each takes the next free turn under a lock, and waits for it without one. Runs
on several machines know nothing of each other: leave the pool's limit at 1, or split the pace.
"""

import fcntl
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

Turns = Callable[[str, float, float], float]
"""From a queue's name, the present moment and the gap between two turns: the moment of my turn."""

_LONGEST_QUEUE_S = 300.0


def turns_of(env: Mapping[str, str]) -> Turns:
    """One pace for all runs of a Dagster instance, and for what else asks with its settings."""
    home = env.get("DAGSTER_HOME", "").strip()
    return shared_turns(Path(home) / "turns") if home else own_turns()


def own_turns() -> Turns:
    """Turns that only this run knows of."""
    free_at: dict[str, float] = {}

    def take(queue: str, now_s: float, gap_s: float) -> float:
        turn = max(now_s, free_at.get(queue, now_s))
        free_at[queue] = turn + gap_s
        return turn

    return take


def shared_turns(directory: Path) -> Turns:
    """Turns among all processes that name the same folder; moments are of `time.monotonic`.

    That clock is one for the whole machine. It starts again with the machine, so a turn that lies
    far ahead is from before, and means nothing.
    """

    def take(queue: str, now_s: float, gap_s: float) -> float:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (directory / f"{quote(queue, safe='')}.turn").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            free_at = _moment(file.read())
            ahead = free_at <= now_s + _LONGEST_QUEUE_S
            turn = max(now_s, free_at) if ahead else now_s
            file.truncate(0)
            file.write(repr(turn + gap_s))
        return turn

    return take


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0  # a new file, or one that a full disk cut short
