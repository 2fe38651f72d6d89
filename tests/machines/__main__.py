"""`python -m tests.machines`: every case, and a table of how it went.

Belongs here: choosing cases, the base that they are copied from, the table.
Does not belong here: the cases (`cases`), a visit (`visit`).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.machines.cases import CASES
from tests.machines.visit import Outcome, visit


def main() -> int:
    """1 when a case failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.machines")
    parser.add_argument("words", nargs="*", help="only cases with one of these in their name")
    parser.add_argument("--full", action="store_true", help="`make demo` in every case")
    parser.add_argument("--python", default="", help="the Python of the base")
    options = parser.parse_args()
    chosen = [
        case
        for case in CASES
        if not options.words or any(word in case.name for word in options.words)
    ]
    # Not the folder for temporary files: cases change its name, and others must reach this one.
    work = Path(tempfile.mkdtemp(prefix="lake-machines-", dir="/var/tmp"))
    work.chmod(0o755)
    print(f"Logs of what fails: {work}", flush=True)
    outcomes: list[tuple[str, Outcome]] = []
    try:
        base = _base(work, options.python)
        for case in chosen:
            outcome = visit(case, base, work, full=options.full)
            outcomes.append((case.name, outcome))
            print(_line(case.name, outcome), flush=True)
    finally:
        shutil.rmtree(work / "base", ignore_errors=True)
    failed = sum(outcome.state == "failed" for _, outcome in outcomes)
    print(f"{len(outcomes) - failed} of {len(outcomes)} cases did not fail")
    return 1 if failed else 0


def _line(name: str, outcome: Outcome) -> str:
    return f"{name:36} {outcome.state:8} {outcome.seconds:6.0f} s  {outcome.why}".rstrip()


def _base(work: Path, python: str) -> Path:
    """A checkout as a newcomer has it, with an installation of its own."""
    root = Path(__file__).parents[2]
    base = work / "base"
    base.mkdir()
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, os.fsdecode(listed).split("\0")):
        target = base / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (root / name).exists():
            shutil.copy2(root / name, target)
    # One that every user may run: those in somebody's home are closed to others.
    chosen = python or next((one for one in _SHARED if Path(one).exists()), "")
    command = ["make", "-C", os.fspath(base), ".venv/.installed"]
    subprocess.run([*command, f"PYTHON={chosen}"] if chosen else command, check=True)
    return base


_SHARED = ("/usr/bin/python3.11", "/usr/bin/python3.12", "/usr/bin/python3.13")


if __name__ == "__main__":
    sys.exit(main())
