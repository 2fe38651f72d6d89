"""Whether a run is still alive, when nobody but its log can tell."""

import os
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus

from lake_assets.orchestration import launcher as module
from lake_assets.orchestration.launcher import LocalRunLauncher


@dg.op
def nothing() -> None:
    """An op that is never run."""


@dg.job
def idle() -> None:
    nothing()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def status_of(instance: dg.DagsterInstance, *pids: int) -> WorkerStatus:
    run = instance.create_run_for_job(idle)
    for pid in pids:
        instance.report_engine_event(
            f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid)
        )
    launcher = LocalRunLauncher()
    launcher.register_instance(instance)
    assert launcher.supports_check_run_worker_health
    return launcher.check_run_worker_health(run).status


def ended() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def test_a_run_lives_as_long_as_its_process(instance):
    assert status_of(instance, os.getpid()) is WorkerStatus.RUNNING
    assert status_of(instance, ended()) is WorkerStatus.FAILED


def test_the_last_process_of_a_run_counts(instance):
    assert status_of(instance, ended(), os.getpid()) is WorkerStatus.RUNNING
    assert status_of(instance, os.getpid(), ended()) is WorkerStatus.FAILED


def test_another_process_with_the_same_number_is_not_the_run(instance, monkeypatch):
    monkeypatch.setattr(module.psutil.Process, "create_time", lambda _: 4e9)
    assert status_of(instance, os.getpid()) is WorkerStatus.FAILED


def test_a_run_whose_process_is_not_known_is_left_alone(instance):
    assert status_of(instance) is WorkerStatus.RUNNING
