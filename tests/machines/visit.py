"""One case: a checkout where it says, an installation, and the whole way in it.

Belongs here: the commands of a visit. Does not belong here: the cases (`cases`).
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.machines.cases import Case
from tests.machines.places import Place

_DEADLINE_S = 900
# The parts, a run, and an answer; `make demo` has more of each.
_SHORT = """
lake() { .venv/bin/lake "$@"; }
trap 'lake down >/dev/null 2>&1' EXIT
set -e
lake up --detach --no-schedules
lake sample-data --days 2 --rows-per-day 40
lake trigger lake.export_agent_run_log
lake query 'SELECT count(*) AS n FROM agent_run_log' | tee answer.txt
grep -q "1 row" answer.txt
lake status --json > first.json
lake down
"""
# What was written is there the next time, under the same addresses.
_AGAIN = """
trap '.venv/bin/lake down >/dev/null 2>&1' EXIT
set -e
.venv/bin/lake up --detach --no-schedules
.venv/bin/lake query 'SELECT count(*) AS n FROM agent_run_log'
.venv/bin/lake trigger lake.export_agent_run_log
.venv/bin/lake status --json > second.json
[ "$(grep _url first.json)" = "$(grep _url second.json)" ]
"""
_FULL = "set -e; make demo"
# What is mounted is gone with the last process of the visit.
_ENTER = """
mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$@"
"""
_INSTALL = "make {python} .venv/.installed"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a visit ended: `passed`, `failed` or `skipped`, and why."""

    state: str
    seconds: float = 0
    why: str = ""


def visit(case: Case, base: Path, work: Path, *, full: bool) -> Outcome:
    """Make the place, install, go the way, remove it all."""
    reason = _unmet(case)
    if reason:
        return Outcome(state="skipped", why=reason)
    folder = Path(tempfile.mkdtemp(prefix="case-", dir=work))
    folder.chmod(0o755)
    started = time.monotonic()
    try:
        place = case.place(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        return Outcome(state="failed", why=f"the place could not be made: {error}")
    log = work / f"{case.name.replace('/', ' ')}.log"
    try:
        _fill(case, base, place)
        env = _environment(case, folder)
        with log.open("w") as output, _busy(case.busy):
            way = _FULL if full or case.full else _SHORT
            installing = env if case.install else _ordinary(env)
            install = _INSTALL.format(python=f"PYTHON={case.python}" if case.python else "")
            code = _run(case, install, place, installing, output, wrapped=False)
            for script in (way, _AGAIN) if case.again and way is _SHORT else (way,):
                if code == 0:
                    code = _run(case, script, place, env, output, wrapped=True)
    finally:
        for one in place.held:
            one.close()
        shutil.rmtree(place.remove, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - started
    if code == 0:
        log.unlink()
        return Outcome(state="passed", seconds=seconds)
    return Outcome(state="failed", seconds=seconds, why=f"exit code {code}, see {log}")


def _unmet(case: Case) -> str:
    if case.root_only and os.geteuid() != 0:
        return "needs root"
    if case.python and not _runs(case.python):
        return f"{case.python} is not on this machine"
    missing = [one for one in (*case.needs, *case.wrap[:1]) if shutil.which(one) is None]
    if missing:
        return f"{missing[0]} is not on this machine"
    return ""


def _runs(python: str) -> bool:
    program = shutil.which(python)
    if program is None:
        return False
    ended = subprocess.run([program, "--version"], capture_output=True, check=False)
    return ended.returncode == 0


def _fill(case: Case, base: Path, place: Place) -> None:
    """A copy of the base; of its files where their owner or mode will change, else of links."""
    changes = case.owner is not None or case.closed or case.fresh
    same_disk = base.stat().st_dev == place.files.stat().st_dev
    skipped = ("--exclude=./.venv",) if case.fresh else ()
    if changes or not same_disk:
        # tar: one program that copies what is there, on every system.
        packed = subprocess.Popen(
            ["tar", "-C", base, *skipped, "-cf", "-", "."], stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-C", place.files, "-xpf", "-"], stdin=packed.stdout, check=True)
        if packed.wait() != 0:
            raise RuntimeError("the base could not be copied")
    else:
        subprocess.run(["cp", "-al", f"{base}/.", place.files], check=True)
    if case.closed:
        subprocess.run(["chmod", "-R", "go=", place.files], check=True)
    if case.owner is not None:
        uid, gid = case.owner
        subprocess.run(["chown", "-R", f"{uid}:{gid}", place.files], check=True)


def _environment(case: Case, folder: Path) -> dict[str, str]:
    long = folder / ("temp-" + "x" * (100 - len(os.fspath(folder)) - 6))
    junk, conda = folder / "junk", folder / "conda"
    values = {
        "long": os.fspath(long),
        "junk": os.fspath(junk),
        "conda": os.fspath(conda),
        "PATH": os.environ["PATH"],
    }
    long.mkdir()
    (junk / "tests").mkdir(parents=True)
    for name in ("dagster", "httpx", "click", "psutil", "lake_assets", "tests/__init__"):
        (junk / f"{name}.py").write_text("raise SystemExit('a module of somebody else')\n")
    (conda / "bin").mkdir(parents=True)
    for name in ("python3", "python", "pip"):
        program = conda / "bin" / name
        program.write_text("#!/bin/sh\necho 'the Python of somebody else' >&2\nexit 1\n")
        program.chmod(0o755)
    ours = ("LAKE_", "MINIO_", "PLATFORM_", "AINATIVE_", "DAGSTER_", "PYTHON", "PYTEST_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    for name in case.without:
        env.pop(name, None)
    for name, value in case.env.items():
        env[name] = value.format(**values)
    return env


def _ordinary(env: Mapping[str, str]) -> dict[str, str]:
    """For the installation, which may need the network: the machine's proxies and folders."""
    names = ("TMPDIR", "HOME", *(one for one in env if one.lower().endswith("_proxy")))
    kept = {name: value for name, value in env.items() if name not in names}
    return kept | {name: os.environ[name] for name in names if name in os.environ}


def _run(
    case: Case, script: str, place: Place, env: Mapping[str, str], output, *, wrapped: bool
) -> int:
    # The shell goes to the place by itself: a symbolic link stays one.
    entered = f'{case.prelude if wrapped or case.closed else ""} cd "$1" && {{ {script}\n}}'
    command = ["sh", "-c", entered, "visit", os.fspath(place.entry)]
    if wrapped and case.wrap:
        command = [*case.wrap, entered, "visit", os.fspath(place.entry)]
    if place.root is not None:
        command = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            _ENTER,
            "enter",
            os.fspath(place.root),
            *command,
        ]
    owner = case.owner
    output.write(f"$ {script}\n")
    output.flush()
    with subprocess.Popen(
        command,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",
        user=owner[0] if owner else None,
        group=owner[1] if owner else None,
        extra_groups=[] if owner else None,
        start_new_session=True,
    ) as process:
        try:
            return process.wait(timeout=_DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 15)
            return 124


@contextmanager
def _busy(count: int) -> Generator[None]:
    """Processes that want a processor each."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
