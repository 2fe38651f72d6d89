"""`lake query`: what is sent, and how each kind of answer is told."""

import csv
import io
import json
from typing import Any

import pytest

from lake_api.cli.problem import caret
from lake_api.query.schemas import ANSWER_EXAMPLE, UNAVAILABLE_EXAMPLE
from tests.cli.conftest import Service, lake

SQL = "SELECT agent_id, COUNT(*) AS runs FROM example_runs GROUP BY agent_id"


def problem(**facts: Any) -> dict[str, Any]:
    return {"status": 400, "code": "unknown_table", "title": "Query rejected", **facts}


def test_it_asks_as_an_agent_of_its_own_and_shows_a_table(service: Service):
    service.say(ANSWER_EXAMPLE)
    result = lake("query", SQL, "--limit", "7", "--api-url", service.url)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "agent_id   runs",
        "───────────────",
        "aurora      142",
        "sage         98",
        "2 rows in 4.2 ms from example_runs, newest day 2026-11-21",
    ]
    (method, path, headers, body) = service.requests[0]
    assert (method, path) == ("POST", "/api/v1/internal/lake/query")
    assert headers["x-agent-id"] == "lake-cli"
    assert body == {"sql": SQL, "limit": 7}


def test_it_asks_the_running_stack(service: Service, running: object):
    assert running
    service.say(ANSWER_EXAMPLE)
    assert lake("query", SQL).exit_code == 0
    assert "x-internal-api-key" not in service.requests[0][2]


def test_sql_can_come_from_standard_input(service: Service):
    service.say(ANSWER_EXAMPLE)
    assert lake("query", "-", "--api-url", service.url, stdin=f"{SQL}\n").exit_code == 0
    assert service.requests[0][3]["sql"] == f"{SQL}\n"


def test_json_is_the_answer_as_it_came(service: Service):
    service.say(ANSWER_EXAMPLE)
    result = lake("query", SQL, "--json", "--api-url", service.url)
    assert json.loads(result.stdout) == ANSWER_EXAMPLE
    assert result.stderr == ""


def test_csv_has_a_header_and_tells_warnings_elsewhere(service: Service):
    rows = [["a,b", None], ['"quoted"', {"x": [1, True]}]]
    service.say({**ANSWER_EXAMPLE, "rows": rows, "warnings": ["NaN became null"]})
    result = lake("query", SQL, "--csv", "--api-url", service.url)
    assert list(csv.reader(io.StringIO(result.stdout))) == [
        ["agent_id", "runs"],
        ["a,b", ""],
        ['"quoted"', '{"x": [1, true]}'],
    ]
    assert result.stderr == "warning: NaN became null\n"


def test_what_to_know_about_the_rows_is_said_below_them(service: Service):
    second = {"partition": "p/x", "sql_name": "p_x", "newest_day": None, "written_at": None}
    service.say(
        {
            **ANSWER_EXAMPLE,
            "rows": [["null is not text", None], ["[red]not markup[/red]", 1]],
            "truncated": True,
            "freshness": [*ANSWER_EXAMPLE["freshness"], second],
            "warnings": ["`p_x` has no data yet"],
        }
    )
    lines = lake("query", SQL, "--api-url", service.url).stdout.splitlines()
    assert lines[2].split() == ["null", "is", "not", "text", "null"]
    assert lines[3].startswith("[red]not markup[/red]")
    assert lines[4:] == [
        "2 rows in 4.2 ms from example_runs (newest day 2026-11-21), p_x (newest day -)",
        "There are more rows: --limit takes up to 1000, or narrow the query.",
        "warning: `p_x` has no data yet",
    ]


def test_rows_can_not_steer_the_terminal(service: Service):
    service.say({**ANSWER_EXAMPLE, "rows": [["\x1b[2Jgone\x9b1m\n\u202e", 1]]})
    result = lake("query", SQL, "--api-url", service.url)
    assert "\\x1b[2Jgone\\x9b1m\\n\\u202e" in result.stdout
    assert not {"\x1b", "\x9b", "\u202e"} & set(result.stdout)


def test_what_could_not_be_run_is_a_failure(service: Service):
    service.say(UNAVAILABLE_EXAMPLE)
    result = lake("query", SQL, "--api-url", service.url)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "lake: The query ran longer than 30 s. [query_timeout]\n"
        "  Filter on `date` to read fewer days.\n"
    )


def test_json_of_what_could_not_be_run_is_the_answer_too(service: Service):
    service.say(UNAVAILABLE_EXAMPLE)
    result = lake("query", SQL, "--json", "--api-url", service.url)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == UNAVAILABLE_EXAMPLE


def test_a_refusal_points_at_the_place(service: Service):
    refusal = problem(
        detail="There is no dataset `agent_runs`.",
        hint="Did you mean `agent_run_log`?",
        fragment="agent_runs",
        position={"offset": 14, "line": 2, "column": 6},
    )
    service.say(refusal, status=400)
    result = lake("query", "SELECT *\nFROM agent_runs", "--api-url", service.url)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "lake: There is no dataset `agent_runs`. [unknown_table]",
        "    FROM agent_runs",
        "         ^^^^^^^^^^",
        "  Did you mean `agent_run_log`?",
    ]


def test_json_of_a_refusal_is_the_problem_as_it_came(service: Service):
    refusal = problem(detail="No.", hint="Yes.")
    service.say(refusal, status=400)
    result = lake("query", SQL, "--json", "--api-url", service.url)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == refusal


def test_a_refusal_without_a_hint_still_says_what_to_do(service: Service):
    service.say(problem(detail="Too often.", retry_after_s=17), status=429)
    assert "Try again in 17 s." in lake("query", SQL, "--api-url", service.url).stderr


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"columns": 1}', b""])
@pytest.mark.parametrize("status", [200, 404])
def test_something_else_on_the_port_is_named(service: Service, body: bytes, status: int):
    service.say(body, status=status)
    result = lake("query", SQL, "--api-url", service.url)
    assert result.exit_code == 1
    assert "is not the lake's service" in result.stderr


def test_nobody_on_the_port_is_said(service: Service):
    result = lake("query", SQL, "--api-url", "http://127.0.0.1:1")
    assert service.requests == []
    assert result.exit_code == 1
    assert "the service at http://127.0.0.1:1 does not answer" in result.stderr


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://x", "http://x:port", ""])
def test_a_bad_url_is_a_wrong_use(url: str):
    result = lake("query", SQL, "--api-url", url)
    assert result.exit_code == 2
    assert "is no URL" in result.stderr


def test_without_a_running_stack_it_says_how_to_start_one():
    result = lake("query", SQL)
    assert result.exit_code == 1
    assert result.stderr == (
        "lake: the lake is not running\n  `lake up` (or `make up`) starts it.\n"
    )


def test_two_formats_at_once_are_a_wrong_use():
    assert lake("query", SQL, "--json", "--csv").exit_code == 2


def test_a_caret_is_as_wide_as_what_it_marks():
    assert caret("SELECT 日本 FROM x", line=1, column=8, length=2).splitlines() == [
        "    SELECT 日本 FROM x",
        "           ^^^^",
    ]


def test_a_caret_in_a_long_line_keeps_its_surroundings():
    sql = f"SELECT {'a, ' * 100}bad{', b' * 100} FROM x"
    text, marks = caret(sql, line=1, column=308, length=3).splitlines()
    assert len(text) < 140
    assert text[marks.index("^") : marks.rindex("^") + 1] == "bad"


@pytest.mark.parametrize(("line", "column"), [(3, 1), (1, 99), (2, 1)])
def test_a_caret_outside_of_the_text_does_no_harm(line: int, column: int):
    assert caret("SELECT 1\n", line=line, column=column, length=5).count("^") <= 1
