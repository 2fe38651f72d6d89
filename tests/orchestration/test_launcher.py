"""Whether a run is still alive, when nobody but its log can tell."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster_shared.record import copy

from lake_assets.orchestration import launcher as module
from lake_assets.orchestration.build import build_defs
from lake_assets.orchestration.launcher import LocalRunLauncher
from lake_assets.orchestration.lost_runs import LOST_RUNS_SENSOR, awaits_retry
from tests.orchestration.derived_lake import catalog


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


def test_a_run_is_only_lost_when_a_code_server_can_start_it_again(instance, monkeypatch):
    """Its process is gone; the code server comes back, and is believed at the second look."""
    run = instance.create_run_for_job(idle)
    instance.report_engine_event("Started.", run, EngineEventData.in_process(ended()))
    launcher = LocalRunLauncher()
    launcher.register_instance(instance)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    where = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=port, location_name="code")
    repository = RemoteRepositoryOrigin(where, "__repository__")
    run = copy(run, remote_job_origin=RemoteJobOrigin(repository, "idle"))

    def status() -> WorkerStatus:
        return launcher.check_run_worker_health(run).status

    assert status() is WorkerStatus.RUNNING, "nobody could start it again"
    monkeypatch.setattr(DagsterGrpcClient, "ping", lambda *_: {})
    assert [status(), status()] == [WorkerStatus.RUNNING, WorkerStatus.FAILED]


def lost(instance: dg.DagsterInstance, **tags: str) -> dg.DagsterRun:
    """A run that Dagster tried to start again without a code server."""
    run = instance.create_run_for_job(idle, tags=tags)
    instance.report_run_failed(run, "its process is gone")
    failed = instance.get_run_by_id(run.run_id)
    instance.report_engine_event("Failed to retry run", failed)
    instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
    return instance.get_run_by_id(run.run_id)


def tick(instance: dg.DagsterInstance) -> dg.SensorResult:
    defs = build_defs(catalog=catalog(), env={})
    with dg.build_sensor_context(instance=instance, definitions=defs) as context:
        return defs.resolve_sensor_def(LOST_RUNS_SENSOR).evaluate_tick(context)


def test_a_run_that_could_not_be_retried_is_given_back(retrying):
    run = lost(retrying)
    assert awaits_retry(retrying, run)

    said = tick(retrying).skip_message

    assert run.run_id in said
    assert retrying.get_run_by_id(run.run_id).tags[WILL_RETRY_TAG] == "true"
    assert "No run was lost." in tick(retrying).skip_message, "once for each try of Dagster"


def test_what_failed_by_itself_is_not_given_back(retrying):
    run = retrying.create_run_for_job(idle)
    retrying.report_run_failed(run, "no table")
    retrying.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
    assert "No run was lost." in tick(retrying).skip_message


@pytest.fixture
def retrying() -> Iterator[dg.DagsterInstance]:
    settings = {"run_retries": {"enabled": True, "max_retries": 2}}
    with dg.DagsterInstance.ephemeral(settings=settings) as instance:
        yield instance
