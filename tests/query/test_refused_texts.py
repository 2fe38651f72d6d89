"""Which texts are refused after a worker has ended, and for how long."""

import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from lake_api.errors import QueryRejected
from lake_api.query.messages import Extraction, FileForm, Form, Job, View
from lake_api.query.refused_texts import REFUSED_S, RefusedTexts, is_crash, lacked_memory
from lake_api.query.worker.failures import explain
from lake_api.query.worker_process import WorkerProcess

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
VIEW = View(name="runs", columns=(("id", "VARCHAR"),), groups=())


@dataclass
class Clock:
    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


def job(sql: str = "SELECT 1", *, view: View = VIEW, form: Form = Form.JSON) -> Job:
    return Job(id=1, sql=sql, views=(view,), row_cap=1, byte_cap=1, form=form)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refused(clock: Clock) -> RefusedTexts:
    texts = RefusedTexts(clock=clock, now=lambda: NOW)
    assert not texts.add(job()).retry
    return texts


def test_the_same_text_is_refused_until_a_time_that_is_told(refused, clock):
    with pytest.raises(QueryRejected) as caught:
        refused.check(job())
    assert "until 2026-11-22T10:40:00Z" in str(caught.value)
    clock.seconds += REFUSED_S
    refused.check(job())


@pytest.mark.parametrize(
    "other",
    [
        job("SELECT 2"),
        job(form=Form.CSV),
        job(view=View(name="runs", columns=(("id", "BIGINT"),), groups=())),
        Extraction(id=1, form=FileForm.CSV, row_cap=1, byte_cap=1, sql="SELECT 1", views=(VIEW,)),
    ],
)
def test_other_texts_forms_and_views_are_not(refused, other):
    refused.check(other)


def test_the_memory_is_bounded(refused):
    for number in range(1_100):
        refused.add(job(f"SELECT {number}"))
    refused.check(job("SELECT 50"))
    with pytest.raises(QueryRejected):
        refused.check(job("SELECT 1099"))


@pytest.mark.parametrize(
    ("returncode", "crashed"),
    [
        (-signal.SIGSEGV, True),
        (-signal.SIGABRT, True),
        (1, True),
        (-signal.SIGKILL, False),
        (-signal.SIGTERM, False),
        (0, False),
        (None, False),
    ],
)
def test_only_a_crash_is_the_texts_fault(returncode, crashed):
    assert is_crash(returncode) is crashed


@pytest.mark.parametrize(
    ("said", "lacked"),
    [
        ("terminate called after throwing an instance of 'std::bad_alloc'", True),
        ("terminate called after throwing an instance of 'duckdb::InternalException'", False),
        ("", False),
    ],
)
def test_a_process_that_ends_itself_for_lack_of_memory_says_so(background, said, lacked):
    async def run():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            f"import os, sys; sys.stderr.write({said!r}); sys.stderr.flush(); os.abort()",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        worker = WorkerProcess(process)
        returncode, words = await worker.ended(), await worker.last_words()
        await worker.kill()
        return returncode, words

    returncode, words = background.run(run())
    assert (returncode, words) == (-signal.SIGABRT, said)
    assert lacked_memory(returncode, words) is lacked
    assert not lacked_memory(-signal.SIGKILL, words)


def test_a_worker_that_writes_many_errors_is_not_held_up_and_its_last_ones_are_read(background):
    """Its errors are more than the pipe and the reader's buffer hold."""

    async def run():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import sys; sys.stderr.write('x' * 1_000_000 + 'std::bad_alloc')",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        worker = WorkerProcess(process)
        async with asyncio.timeout(30):
            await worker.wait()
        words = await worker.last_words()
        await worker.kill()
        return words

    words = background.run(run())
    assert words.endswith("xstd::bad_alloc")
    assert len(words) < 10_000


@pytest.mark.parametrize(
    ("kind", "retry"),
    [("INTERNAL", False), ("Serialization", False), ("IO", True), ("FATAL", True)],
)
def test_faults_of_the_engine_tell_whether_repeating_helps(kind, retry):
    raised = json.dumps({"exception_type": kind, "exception_message": "Assertion failed: x"})
    told = explain(raised, sql="SELECT 1", columns=())
    assert (told.code, told.retry) == ("engine_error", retry)
    assert ("Try again" in told.hint) is retry


@pytest.mark.parametrize(
    ("message", "detail", "hint"),
    [
        (
            "Division by zero in expression (1 % 0). Use TRY(...) to return NULL for this "
            "expression, or SET error_on_division_by_zero=false to return NULL for all divisions.",
            "Division by zero in expression (1 % 0).",
            "nullif",
        ),
        (
            "More than one row returned by a subquery used as an expression - scalar subqueries "
            'can only return a single row.\n\nUse "SET scalar_subquery_error_on_multiple_rows=…".',
            "More than one row returned by a subquery used as an expression - scalar subqueries "
            "can only return a single row.",
            "LIMIT 1",
        ),
        ("Map keys must be unique.", "Map keys must be unique.", "map_entries"),
    ],
)
def test_no_caller_is_told_to_change_a_setting(message, detail, hint):
    raised = json.dumps({"exception_type": "Invalid Input", "exception_message": message})
    told = explain(raised, sql="SELECT 1", columns=())
    assert (told.code, told.detail) == ("invalid_input", detail)
    assert hint in told.hint
