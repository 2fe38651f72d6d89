"""`lake jobs` and `lake export`: what is sent, waiting, and how answers are told."""

import json
from pathlib import Path
from typing import Any

import pytest

from lake_api.exports.schemas import EXPORT_EXAMPLE, QUEUED_EXPORT_EXAMPLE
from lake_api.jobs.schemas import JOB_EXAMPLE, PAGE_EXAMPLE, QUEUED_JOB_EXAMPLE
from tests.cli.conftest import Service, lake

LAKE = "/api/v1/internal/lake"
SQL = "SELECT agent_id FROM agent_run_log"
JOB_ID = JOB_EXAMPLE["id"]
EXPORT_ID = EXPORT_EXAMPLE["id"]
PROBLEM = {"status": 400, "code": "invalid_cast", "title": "Rejected", "detail": "No number."}
FAILED_JOB = {**QUEUED_JOB_EXAMPLE, "state": "failed", "error": PROBLEM}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(service: Service) -> list[tuple[str, str]]:
    return [(method, path.removeprefix(LAKE)) for method, path, _, _ in service.requests]


def test_a_job_is_started_and_waited_for(service: Service):
    service.say(QUEUED_JOB_EXAMPLE, status=202)
    service.say({**QUEUED_JOB_EXAMPLE, "state": "running"})
    service.say(JOB_EXAMPLE)
    result = lake("jobs", "start", SQL, "--max-rows", "9", "--api-url", service.url)
    assert (result.exit_code, result.stdout) == (
        0, f"{JOB_ID} succeeded with 2 rows; `lake jobs rows` shows them\n",
    )  # fmt: skip
    assert asked(service) == [("POST", "/jobs"), *[("GET", f"/jobs/{JOB_ID}")] * 2]
    assert service.requests[0][3] == {"sql": SQL, "max_rows": 9}


def test_whoever_looks_too_often_waits_for_the_next_turn(service: Service):
    busy = {"status": 429, "code": "rate_limited", "title": "Too many requests", "detail": "Many."}
    service.say(QUEUED_JOB_EXAMPLE, status=202)
    service.say({**busy, "retry_after_s": 1}, status=429)
    service.say(JOB_EXAMPLE)
    result = lake("jobs", "start", SQL, "--api-url", service.url)
    assert (result.exit_code, result.stdout.split()[1]) == (0, "succeeded")
    # What comes back in an hour is not waited for.
    service.say(QUEUED_JOB_EXAMPLE, status=202)
    service.say({**busy, "retry_after_s": 3600}, status=429)
    result = lake("jobs", "start", SQL, "--api-url", service.url)
    assert result.exit_code == 1
    assert "[rate_limited]" in result.stderr


def test_a_job_need_not_be_waited_for(service: Service):
    service.say(QUEUED_JOB_EXAMPLE, status=202)
    result = lake("jobs", "start", "-", "--no-wait", "--api-url", service.url, stdin=SQL)
    assert (result.exit_code, result.stdout) == (0, f"{JOB_ID} is queued\n")
    assert service.requests[0][3] == {"sql": SQL}


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (FAILED_JOB, "failed: No number. [invalid_cast]\n  Ask for less."),
        ({**QUEUED_JOB_EXAMPLE, "state": "cancelled"}, "was cancelled\n  Start it again"),
    ],
)
def test_a_job_that_gives_no_rows_is_a_failure(service: Service, ended: dict[str, Any], said: str):
    service.say(QUEUED_JOB_EXAMPLE, status=202)
    service.say(ended)
    result = lake("jobs", "start", SQL, "--json", "--api-url", service.url)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == ended
    assert f"lake: job {JOB_ID} {said}" in result.stderr


def test_a_refused_text_is_pointed_at(service: Service):
    place = {"fragment": "agent_run_log", "position": {"offset": 21, "line": 1, "column": 22}}
    service.say({**PROBLEM, **place}, status=400)
    result = lake("jobs", "start", SQL, "--api-url", service.url)
    assert result.stderr.splitlines()[1:3] == [f"    {SQL}", f"{' ' * 25}{'^' * 13}"]


def test_jobs_are_listed(service: Service):
    service.say({"jobs": [JOB_EXAMPLE, FAILED_JOB], "page": 1, "page_size": 100, "total": 5})
    result = lake("jobs", "list", "--api-url", service.url)
    assert result.exit_code == 0
    assert all(told in result.stdout for told in (JOB_ID, "succeeded", "failed", "SELECT agent_id"))
    assert result.stderr == "3 older ones are not shown.\n"
    service.answers.clear()
    service.say({"jobs": [], "page": 1, "page_size": 100, "total": 0})
    assert "lake jobs start" in lake("jobs", "list", "--api-url", service.url).stdout


def test_a_job_is_shown_with_why_it_failed(service: Service):
    service.say(FAILED_JOB)
    result = lake("jobs", "show", JOB_ID, "--api-url", service.url)
    assert result.stdout == f"{JOB_ID} is failed\n  No number. [invalid_cast]\n"


def test_rows_are_shown_by_page(service: Service):
    service.say({**PAGE_EXAMPLE, "pages": 3})
    result = lake("jobs", "rows", JOB_ID, "--page", "2", "--page-size", "5", "--api-url",
                  service.url)  # fmt: skip
    lines = result.stdout.splitlines()
    assert (lines[2].split(), lines[-1]) == (["aurora", "142"], "page 1 of 3, 2 rows")
    assert asked(service) == [("GET", f"/jobs/{JOB_ID}/results?page=2&page_size=5")]
    as_csv = lake("jobs", "rows", JOB_ID, "--csv", "--api-url", service.url)
    assert as_csv.stdout == "agent_id,runs\naurora,142\nsage,98\n"


def test_a_job_is_cancelled(service: Service):
    service.say({**QUEUED_JOB_EXAMPLE, "state": "cancelled"})
    result = lake("jobs", "cancel", JOB_ID, "--api-url", service.url)
    assert result.stdout == f"{JOB_ID} is cancelled\n"
    assert asked(service) == [("POST", f"/jobs/{JOB_ID}/cancel")]


@pytest.mark.parametrize("command", ["show", "rows", "cancel"])
def test_what_is_no_id_is_a_wrong_use(service: Service, command: str):
    assert lake("jobs", command, "../tokens", "--api-url", service.url).exit_code == 2
    assert service.requests == []


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("list",), {"jobs": [JOB_EXAMPLE], "page": 1, "page_size": 100, "total": 1}),
        (("show", JOB_ID), JOB_EXAMPLE),
        (("rows", JOB_ID), PAGE_EXAMPLE),
        (("cancel", JOB_ID), JOB_EXAMPLE),
    ],
)
def test_json_is_the_answer_as_it_came(
    service: Service, arguments: tuple[str, ...], answer: dict[str, Any]
):
    service.say(answer)
    result = lake("jobs", *arguments, "--json", "--api-url", service.url)
    assert json.loads(result.stdout) == answer


def finished(service: Service, **facts: Any) -> dict[str, Any]:
    return {**EXPORT_EXAMPLE, "url": f"{service.url}/file?signed", **facts}


def test_an_export_is_waited_for_and_downloaded(service: Service, here: Path):
    service.say(QUEUED_EXPORT_EXAMPLE, status=202)
    service.say(finished(service))
    service.say(b"\x1f\x8b bytes")
    result = lake(
        "export", SQL, "--format", "csv", "--compression", "gzip", "--max-rows", "5",
        "--api-url", service.url,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    file = here / EXPORT_EXAMPLE["file_name"]
    assert file.read_bytes() == b"\x1f\x8b bytes"
    assert result.stdout == f"{file.name}: 182,420 rows, 8 bytes\n"
    assert asked(service) == [
        ("POST", "/exports"), ("GET", f"/exports/{EXPORT_ID}"), ("GET", "/file?signed"),
    ]  # fmt: skip
    assert service.requests[0][3] == {
        "format": "csv", "compression": "gzip", "sql": SQL, "max_rows": 5,
    }  # fmt: skip
    assert [one.name for one in here.iterdir() if one.is_file()] == [file.name]


def test_nothing_that_the_command_knows_goes_to_the_storage(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LAKE_TOKEN", "lake_agent_text")
    service.say(QUEUED_EXPORT_EXAMPLE, status=202)
    service.say(finished(service))
    service.say(b"bytes")
    assert lake("export", SQL, "--output", "a.csv", "--api-url", service.url).exit_code == 0
    assert "authorization" in service.requests[1][2]
    assert not {"authorization", "x-agent-id"} & set(service.requests[2][2])


def test_a_jobs_rows_are_exported(service: Service):
    service.say(QUEUED_EXPORT_EXAMPLE, status=202)
    service.say(finished(service))
    service.say(b"bytes")
    result = lake("export", "--job", JOB_ID, "--json", "--api-url", service.url)
    assert json.loads(result.stdout) == finished(service)
    assert "rows, 5 bytes" in result.stderr
    assert service.requests[0][1] == f"{LAKE}/jobs/{JOB_ID}/exports"
    assert service.requests[0][3] == {"format": "csv", "compression": "none"}


def test_a_file_name_leads_nowhere_else(service: Service, here: Path):
    service.say(QUEUED_EXPORT_EXAMPLE, status=202)
    service.say(finished(service, file_name="../../outside.csv"))
    service.say(b"bytes")
    assert lake("export", SQL, "--api-url", service.url).exit_code == 0
    assert (here / "outside.csv").read_bytes() == b"bytes"


def test_a_file_that_is_there_is_kept(service: Service, here: Path):
    (here / "a.csv").write_text("mine")
    result = lake("export", SQL, "--output", "a.csv", "--api-url", service.url)
    assert (result.exit_code, service.requests) == (1, [])
    assert "a.csv is there already" in result.stderr
    assert (here / "a.csv").read_text() == "mine"


def test_a_link_that_gives_nothing_leaves_nothing(service: Service, here: Path):
    service.say(QUEUED_EXPORT_EXAMPLE, status=202)
    service.say(finished(service))
    service.say(b"<Error/>", status=403)
    result = lake("export", SQL, "--output", "a.csv", "--api-url", service.url)
    assert result.exit_code == 1
    assert "could not be downloaded" in result.stderr
    assert not [one for one in here.iterdir() if one.is_file()]


def test_an_export_that_failed_is_a_failure(service: Service):
    service.say(QUEUED_EXPORT_EXAMPLE, status=202)
    service.say({**QUEUED_EXPORT_EXAMPLE, "state": "failed", "error": PROBLEM})
    result = lake("export", SQL, "--api-url", service.url)
    assert result.exit_code == 1
    assert f"lake: export {EXPORT_ID} failed: No number. [invalid_cast]" in result.stderr


@pytest.mark.parametrize(
    "arguments", [(), (SQL, "--job", JOB_ID), ("--job", JOB_ID, "--max-rows", "1")]
)
def test_it_takes_sql_or_a_job(arguments: tuple[str, ...]):
    assert lake("export", *arguments).exit_code == 2
