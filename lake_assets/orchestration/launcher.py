"""Runs as processes of this machine, whose death is noticed also when nobody was there to see it.

Belongs here: telling a run that goes on from one whose process is gone; ending one for certain.
Does not belong here: what becomes of a lost run (`dagster.yaml`: it is marked failed and retried).

Dagster's own launcher notices a dead run while the code server lives that started it. After a crash
of everything, or of the code server, nobody knows the run any more, and it would run forever.

A run that dies together with the code server is only said to be dead when there is a code server
again: Dagster tries once to start it anew, and needs one for that.
"""

import signal
import threading

import psutil
from dagster import DagsterEventType, DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.storage.tags import MAX_RETRIES_TAG

_CLOCK_SLACK_S = 5.0
_GRACE_S = 20.0
"""How long a run may take to end after it was interrupted, before its process is killed."""


class LocalRunLauncher(DefaultRunLauncher):
    """The default launcher, with runs that can be asked whether they live."""

    _was_away: bool = False

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring asks about runs that are under way."""
        return True

    def terminate(self, run_id: str) -> bool:
        """Interrupt a run, also where the code server does not know it any more; then end it.

        A run that was terminated, by a person or by its longest time, is not tried again.
        """
        self._instance.add_run_tags(run_id, {MAX_RETRIES_TAG: "0"})
        is_told = super().terminate(run_id)
        process = self._living(run_id)
        if process is None:
            return is_told
        if not is_told:
            process.send_signal(signal.SIGINT)
        threading.Thread(target=_end, args=(process,), name="end-run", daemon=True).start()
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run lives: by its number, and by being older than its run."""
        known = self._process_of(run.run_id)
        if known is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its process is not known")
        if self._living(run.run_id) is not None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if not self._can_start_again(run):
            return CheckRunHealthResult(
                WorkerStatus.RUNNING, f"its process {known[0]} is gone, and so is the code server"
            )
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {known[0]} is gone")

    def _living(self, run_id: str) -> psutil.Process | None:
        known = self._process_of(run_id)
        if known is None:
            return None
        pid, started_by = known
        try:
            process = psutil.Process(pid)
            is_it = process.create_time() <= started_by + _CLOCK_SLACK_S
            return process if is_it and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def _can_start_again(self, run: DagsterRun) -> bool:
        """Whether there is a code server; one that comes back is believed at the second look.

        The daemon needs a moment to see that its code is there again.
        """
        job = run.remote_job_origin
        server = job and job.repository_origin.code_location_origin
        if not isinstance(server, GrpcServerCodeLocationOrigin):
            return True
        try:
            server.create_client().ping("")
        except DagsterUserCodeUnreachableError:
            self._was_away = True
            return False
        is_back, self._was_away = self._was_away, False
        return not is_back

    def _process_of(self, run_id: str) -> tuple[int, float] | None:
        """The process that a run said it is, and when it said so."""
        events = self._instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT)
        for entry in reversed(events):
            event = entry.dagster_event
            pid = event.engine_event_data.metadata.get("pid") if event else None
            if pid is not None:
                return int(str(pid.value)), entry.timestamp
        return None


def _end(process: psutil.Process) -> None:
    """Kill a process that an interrupt does not end: one that waits in foreign code."""
    try:
        process.wait(timeout=_GRACE_S)
    except psutil.TimeoutExpired:
        process.kill()
