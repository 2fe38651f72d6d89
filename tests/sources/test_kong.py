import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from tests.fakes import base
from tests.fakes.base import Reply
from tests.fakes.kong import CONSUMER, PER_DAY, TOKEN, FakeKong
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import are_over, trouble
from tests.sources.leaks import leaks_in

ANN = sha256(CONSUMER.encode()).hexdigest()
SAMPLES = [
    ("up", "gauge"),
    ("kong_bandwidth_bytes", "counter"),
    ("kong_bandwidth_bytes", "counter"),
    ("kong_datastore_reachable", "gauge"),
    ("kong_http_requests_total", "counter"),
    ("kong_http_requests_total", "counter"),
    ("kong_kong_latency_ms_bucket", "histogram"),
    ("kong_kong_latency_ms_bucket", "histogram"),
    ("kong_kong_latency_ms_count", "histogram"),
    ("kong_kong_latency_ms_sum", "histogram"),
    ("kong_nginx_metric_errors_total", "counter"),
    ("kong_nginx_requests_total", "gauge"),
    ("kong_node_info", "gauge"),
]


@pytest.fixture
def kong(collecting):
    return collecting("platform/kong_metrics", FakeKong())


def said(rows):
    return [(row["node_url"][-1], row["metric"], row["metric_type"]) for row in rows]


def expected(*nodes):
    return [(node, *sample) for node in nodes or ("a", "b") for sample in SAMPLES]


def value(rows, node, metric, **columns):
    (row,) = (
        row
        for row in rows
        if (row["node_url"][-1], row["metric"]) == (node, metric)
        and all(row[name] == wanted for name, wanted in columns.items())
    )
    return row["sample_value"]


def test_every_sample_of_every_node_becomes_a_row(kong):
    assert kong.run().success

    rows = kong.rows()
    assert said(rows) == expected()
    served = float(kong.fake.served["a"])
    (ours,) = (row for row in rows if row["consumer"] == ANN and row["node_url"][-1] == "a")
    assert ours | {"labels": None} == {
        "node_url": f"{kong.fake.url}/a",
        "metric": "kong_http_requests_total",
        "metric_type": "counter",
        "service": "mcp",
        "route": "mcp-tools",
        "consumer": ANN,
        "workspace": "default",
        "status_code": "200",
        "source": "service",
        "direction": None,
        "bucket_le": None,
        "sample_value": served,
        "labels": None,
        "scraped_at": kong.now,
    }
    assert json.loads(ours["labels"]) == {
        "service": "mcp",
        "route": "mcp-tools",
        "code": "200",
        "source": "service",
        "workspace": "default",
        "consumer": ANN,
    }
    assert value(rows, "a", "kong_bandwidth_bytes", direction="ingress", consumer=None) == served
    assert value(rows, "a", "kong_kong_latency_ms_bucket", bucket_le=5.0) == served - 1
    assert value(rows, "a", "kong_kong_latency_ms_bucket", bucket_le=float("inf")) == served
    assert value(rows, "a", "kong_kong_latency_ms_sum") == served + 0.5
    assert leaks_in(kong, words=(CONSUMER,)) == []


def test_counters_are_stored_as_they_are_also_after_a_restart(kong):
    kong.now -= timedelta(days=1)
    kong.fake.served = {"a": 5 * PER_DAY, "b": 7 * PER_DAY}
    kong.run(TODAY - timedelta(days=1))
    kong.now += timedelta(days=1)
    kong.fake.served = {"a": 6 * PER_DAY, "b": 3}

    kong.run()

    counted = [
        [value(kong.rows(day), node, "kong_nginx_requests_total") for node in "ab"]
        for day in kong.days
    ]
    assert counted == [[5_000, 7_000], [6_000, 3]]


def test_a_later_scrape_takes_the_place_of_an_earlier_one(kong):
    kong.run()
    kong.now += timedelta(hours=6)
    kong.fake.served["a"] = 3

    kong.run()

    assert said(kong.rows()) == expected()
    assert value(kong.rows(), "a", "kong_nginx_requests_total") == 3
    assert {row["scraped_at"] for row in kong.rows()} == {kong.now}


def test_a_past_day_is_told_before_anything_is_asked(kong):
    result = kong.run(TODAY - timedelta(days=1))

    assert "Kong shows its counters of the moment, which belong to today" in failure(result)
    assert kong.fake.requests == []


def test_of_a_range_only_today_is_scraped(kong):
    result = kong.run(TODAY - timedelta(days=3), TODAY)

    assert kong.days == [TODAY]
    assert "3 of 4 days are out of reach" in kong.texts(result)


def test_the_last_minutes_of_a_day_are_of_the_day(kong):
    kong.now = datetime(2026, 11, 23, 23, 59, 59, 999_999, tzinfo=UTC)

    assert kong.run().success

    assert {row["scraped_at"] for row in kong.rows()} == {kong.now}


def test_a_node_that_is_down_is_told_and_the_others_are_stored(kong):
    kong.fake.break_with(base.status(503), where="/a/", times=99)

    result = kong.run()

    assert result.success
    assert said(kong.rows()) == [("a", "up", "gauge"), *expected("b")]
    assert [value(kong.rows(), node, "up") for node in "ab"] == [0, 1]
    assert "no counters of one node: GET http://127.0.0.1" in kong.texts(result)


def test_without_any_node_the_run_fails_and_the_scrape_before_stays(kong):
    kong.run()
    before = kong.rows()
    kong.fake.break_with(base.status(503), times=99)

    assert "HTTP 503" in failure(kong.run())
    assert kong.rows() == before


def test_another_kind_of_page_is_told(kong):
    kong.fake.answer = lambda _request: text(
        "# TYPE go_goroutines gauge\ngo_goroutines 7\n",
    )

    assert "no counters of Kong in it; is this its API?" in failure(kong.run())


@pytest.mark.parametrize("line", ["kong_x{a=b} 1", 'kong_x{a="b"} many', "kong_x"])
def test_lines_in_another_format_are_told(kong, line):
    kong.fake.answer = lambda _request: text(f"# TYPE kong_x gauge\nkong_x 1\n{line}\n")

    assert "not in Prometheus' format" in failure(kong.run())


def test_unusual_samples_are_kept_as_they_are(kong):
    kong.fake.served = {"a": 1}
    kong.env["KONG_BASE_URL"] = f"{kong.fake.url}/a"
    kong.fake.answer = lambda _request: text(
        'kong_untyped{l="a \\"quoted\\" \\\\ one"} 1\n'
        "# TYPE kong_share gauge\nkong_share Nan\nkong_share_new 1e3 1763719200000\n"
    )

    assert kong.run().success

    _, untyped, share, new = kong.rows()
    assert (untyped["metric_type"], json.loads(untyped["labels"])) == (
        "unknown",
        {"l": 'a "quoted" \\ one'},
    )
    assert share["sample_value"] != share["sample_value"]
    assert (new["metric_type"], new["sample_value"]) == ("unknown", 1_000)


def text(body: str) -> Reply:
    return Reply(headers={"content-type": "text/plain; charset=UTF-8"}, body=body.encode())


def test_rows_are_exact_after_faults_that_pass(kong):
    kong.run()
    without = kong.rows()
    plans = trouble(kong, "/a/", "/b/")

    assert kong.run().success

    assert are_over(plans)
    assert kong.rows() == without
    assert said(without) == expected()


@pytest.mark.parametrize("url", ["http://admin:pw1234@kong:8001", "kong:8001", "ftp://kong"])
def test_an_address_that_is_none_or_holds_a_login_is_told(kong, url):
    kong.env["KONG_BASE_URL"] = f"{kong.fake.url}/a,{url}"

    result = kong.run()

    assert "must list addresses as http://host:8001, without logins" in failure(result)
    assert "pw1234" not in kong.texts(result)
    assert kong.fake.requests == []


def test_a_missing_setting_skips_the_run_and_says_which(kong):
    del kong.env["KONG_BASE_URL"]

    result = kong.run()

    assert observed(result) == {f"{TODAY}": "Skipped: Kong is not configured: set KONG_BASE_URL"}
    assert metadata(result) == {}


def test_the_token_is_sent_where_there_is_one_and_appears_nowhere(kong, caplog):
    caplog.set_level("DEBUG")
    kong.fake.break_with(base.status(418, text=f"I know {TOKEN}"), times=99)
    result = kong.run()
    assert "I know ***" in failure(result)
    assert TOKEN not in kong.texts(result)
    assert TOKEN not in caplog.text

    del kong.env["KONG_ADMIN_TOKEN"]
    kong.run()
    tokens = [request.headers.get("kong-admin-token") for request in kong.fake.requests]
    assert (tokens[0], tokens[-1]) == (TOKEN, None)
