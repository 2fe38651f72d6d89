"""A long run: `python -m tests.fuzz --minutes N`; other texts each time, a seed tells which.

Ends with 1 when a canary was seen, after hypothesis has made the text small.
"""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz.arena import Arena
from tests.fuzz.texts import texts

_EXAMPLES = 500


def run_round(arena: Arena, number: int) -> None:
    """Try `_EXAMPLES` texts that follow from the seed `number`."""

    @seed(number)
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(text=texts())
    def try_texts(text: str) -> None:
        arena.try_text(text)

    try_texts()


def main() -> None:
    """Run until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    options = parser.parse_args()
    until = time.monotonic() + options.minutes * 60
    number = options.seed
    with tempfile.TemporaryDirectory() as directory, Arena(Path(directory)) as arena:
        findings = arena.findings
        while time.monotonic() < until:
            sys.stderr.write(f"seed {number}: {dict(findings.counts)}\n")
            run_round(arena, number)
            number += 1
        slowest_ms, slowest = findings.slowest
        sys.stdout.write(f"{dict(findings.counts)}\n")
        sys.stdout.write(f"{slowest_ms} ms in the guard at most: {slowest!r}\n")
        for what, found in (
            ("did not stop", findings.unstoppable),
            ("harmed the engine", findings.faults),
        ):
            for text in dict.fromkeys(found):
                sys.stdout.write(f"{what}: {text!r}\n")


if __name__ == "__main__":
    main()
