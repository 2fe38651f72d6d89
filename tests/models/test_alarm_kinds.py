"""Incidents of each kind in rows of a small fleet: what is found, by which test, in which words."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.models.incident_alarms import on_incidents
from benchmarks.models.incidents import EACH, KINDS
from lake_assets.catalog import load_catalog
from lake_assets.models.anomalies import derive
from lake_assets.models.anomaly_alarms import ALL_AGENTS, FAMILIES
from lake_assets.models.anomaly_baseline import NEW_NORMAL_D
from lake_assets.models.anomaly_measures import CALLS, REQUESTS, RUNS
from lake_assets.models.anomaly_thresholds import FALSE_ALARM_RATE, THRESHOLDS

LAST = date(2026, 11, 20)
DAYS = 49
AGENTS = tuple(f"a{number}" for number in range(6))
Row = dict[str, Any]


@dataclass(kw_only=True)
class Plan:
    """What the agents do on each day; a test changes it for some of them."""

    runs: np.ndarray = field(default_factory=lambda: np.full((len(AGENTS), DAYS), 40.0))
    tokens: np.ndarray = field(default_factory=lambda: np.full((len(AGENTS), DAYS), 50_000.0))
    price: np.ndarray = field(default_factory=lambda: np.full((len(AGENTS), DAYS), 2.0))
    slow: np.ndarray = field(default_factory=lambda: np.zeros((len(AGENTS), DAYS)))
    failed: np.ndarray = field(default_factory=lambda: np.full((len(AGENTS), DAYS), 0.02))
    failure: str = "failed"
    is_regular: bool = False


def tables(plan: Plan) -> dict[str, pa.Table]:
    rng = np.random.default_rng(5)
    counts = plan.runs if plan.is_regular else rng.poisson(plan.runs)
    counts = np.rint(counts).astype(np.int64)
    agent, day = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), DAYS)
    size = len(agent)
    last = (LAST - date(1970, 1, 1)).days
    dates = pa.array((last - DAYS + 1 + day).astype(np.int32)).cast(pa.date32())
    names = pa.array([AGENTS[row] for row in agent])
    fails = rng.random(size) < plan.failed[agent, day]
    tokens = np.rint(plan.tokens[agent, day] * np.exp(rng.normal(0, 0.5, size)))
    took = np.exp(rng.normal(7, 0.5, size)) * np.where(
        rng.random(size) < plan.slow[agent, day], 3.5, 1.0
    )
    other = plan.price[agent, day] != 2.0
    return {
        RUNS: pa.table(
            {
                "date": dates,
                "agent_id": names,
                "status": [plan.failure if fail else "succeeded" for fail in fails],
                "duration_ms": pa.array(np.rint(took * 8).astype(np.int64)),
            }
        ),
        CALLS: pa.table(
            {
                "date": dates,
                "agent_id": names,
                "status": pa.array(["success"] * size),
                "model": ["large" if each else "small" for each in other],
                "total_tokens": pa.array(tokens.astype(np.int64)),
                "cost_usd": tokens * plan.price[agent, day] / 1e6,
                "latency_ms": pa.array(np.rint(took).astype(np.int64)),
            }
        ),
        REQUESTS: pa.table(
            {
                "date": dates,
                "agent_id": names,
                "status_code": pa.array(np.full(size, 200)),
            }
        ),
    }


def rows_of(plan: Plan, *, ago: int = 0) -> dict[str, Row]:
    found = derive(tables(plan), day=LAST - timedelta(days=ago))
    return {f"{row['agent_id']} {row['metric']}": dict(row) for row in found}


def alarms(rows: dict[str, Row]) -> dict[str, Row]:
    return {label: row for label, row in rows.items() if row["is_anomaly"]}


def test_ordinary_days_have_no_alarm():
    assert not alarms(rows_of(Plan()))


def test_a_partial_day_of_all_agents_is_one_alarm():
    plan = Plan()
    plan.runs[:, -1] *= 0.4
    rows = rows_of(plan)
    (found,) = alarms(rows).values()
    assert (found["agent_id"], found["metric"]) == (ALL_AGENTS, "runs")
    assert found["detected_by"] == "all_agents"
    members = [row for row in rows.values() if row["merged_into"]]
    assert {row["merged_into"] for row in members} == {"(all) runs"}
    assert {row["agent_id"] for row in members} > {ALL_AGENTS}
    assert found["explanation"] == (
        "All agents: runs came to 82, 66 % below the expected (239 expected, 171 to 334 usual); "
        "about 157 runs missing; it cost 8.46 USD, 18.59 USD less than expected; "
        "6 agents are judged together; with it: model calls, tokens, cost, gateway requests; "
        "most of all a3, a4, a1, a5 and 1 more; "
        "a day that is not complete, or a public holiday, looks like this."
    )


def test_an_agent_that_is_silent_on_a_partial_day_is_an_alarm_of_its_own():
    plan = Plan()
    plan.runs[:, -1] *= 0.5
    plan.runs[2, :] *= 5
    plan.runs[2, -1] = 0
    found = alarms(rows_of(plan))
    assert set(found) == {"(all) runs", "a2 runs"}


def test_the_day_after_a_partial_day_is_ordinary():
    plan = Plan()
    plan.runs[:, -2] *= 0.4
    assert not alarms(rows_of(plan))


def test_a_regular_agent_that_halves_is_found():
    plan = Plan(is_regular=True)
    plan.runs[1, :] = 50
    plan.runs[1, :-30] = 0
    plan.runs[1, -1] = 25
    found = alarms(rows_of(plan))["a1 runs"]
    assert found["detected_by"] == "day"
    assert found["explanation"] == (
        "a1: runs came to 25, 50 % below the expected (50 expected, 38 to 65 usual); "
        "about 25 runs missing; it cost 2.97 USD, 2.65 USD less than expected; "
        "with it: model calls (0.5 times), tokens (0.5 times), cost (0.5 times), "
        "gateway requests (0.5 times)."
    )


def test_a_lasting_change_tells_since_when_and_how_much():
    plan = Plan()
    plan.runs[3, -6:] *= 1.6
    found = alarms(rows_of(plan))["a3 runs"]
    assert found["explanation"] == (
        "a3: runs came to 76, 90 % above the expected "
        "(40 expected without the change since about 2026-11-14); "
        "about 128 runs more than expected since then; "
        "it cost 8.03 USD, 3.41 USD more than expected; "
        "with it: model calls (1.9 times), tokens (1.7 times), cost (1.7 times), "
        "gateway requests (1.9 times)."
    )
    assert found["excess_value"] > 50


def test_another_model_tells_its_price_and_the_sum_spent():
    plan = Plan()
    plan.price[4, -1] = 5.0
    found = alarms(rows_of(plan))
    assert set(found) == {"a4 usd_per_million_tokens"}
    assert found["a4 usd_per_million_tokens"]["explanation"] == (
        "a4: the price of a million tokens came to 5.00 USD, 2.5 times the expected "
        "(2.00 USD expected, up to 2.30 USD usual); "
        "it cost 13.36 USD, 8.33 USD more than expected; "
        "a million tokens cost 5.00 USD, 2.00 USD before; "
        "the model large has 100 % of the tokens, 0 % before; with it: cost (2.7 times)."
    )


def test_longer_prompts_are_found_and_cost_is_part_of_it():
    plan = Plan()
    plan.tokens[0, -1] *= 2.0
    rows = rows_of(plan)
    (label,) = alarms(rows)
    assert rows[label]["metric"] in {"tokens", "tokens_per_call"}
    assert rows[label]["explanation"] == (
        "a0: tokens came to 4,609,851, 2.1 times the expected "
        "(2,173,895 expected, 957,543 to 4,154,458 usual); "
        "about 2,435,956 tokens more than expected; "
        "it cost 9.22 USD, 4.87 USD more than expected; "
        "a million tokens cost 2.00 USD as before; "
        "with it: tokens per model call (2.0 times), cost (2.1 times)."
    )


def test_a_few_slow_calls_are_found_by_the_slowest_tenth():
    plan = Plan()
    plan.runs[5] *= 5
    plan.slow[5, -1] = 0.08
    rows = rows_of(plan)
    (found,) = alarms(rows).values()
    assert found["agent_id"] == "a5"
    assert rows["a5 slow_latency_ms"]["severity"] != "none"


@pytest.mark.parametrize("failure", ["failed", "timed_out", "out_of_memory"])
def test_failures_are_told_by_their_status(failure: str):
    plan = Plan(failure=failure)
    plan.runs[1] *= 3
    plan.failed[1, -1] = 0.2
    found = alarms(rows_of(plan))["a1 error_rate"]
    assert found["explanation"].startswith(
        "a1: the share of failed runs came to 15.3 %, 6.7 times the expected "
        "(2.3 % expected, up to 12.9 % usual); "
        f"{failure} rose most, to 15.3 % from 2.4 %"
    )


def test_a_weekend_that_stays_silent_becomes_usual():
    plan = Plan()
    weekdays = (LAST.weekday() - np.arange(DAYS - 1, -1, -1)) % 7
    stopped = (weekdays >= 5) & (np.arange(DAYS) >= DAYS - 33)
    plan.runs[2, stopped] = 0
    saturdays = [day for day in np.flatnonzero(stopped) if weekdays[day] == 5]
    first, last = (rows_of(plan, ago=DAYS - 1 - int(day)) for day in (saturdays[0], saturdays[-1]))
    assert first["a2 runs"]["is_anomaly"]
    assert not last["a2 runs"]["is_anomaly"]


def test_an_agent_that_comes_and_goes_is_idle_without_alarm():
    plan = Plan()
    plan.runs[3, np.random.default_rng(3).random(DAYS) < 0.5] = 0
    plan.runs[3, -2:] = 40, 0
    row = rows_of(plan)["a3 runs"]
    assert row["severity"] == "none"
    assert "it is idle on many days" in row["explanation"]
    plan.runs[3, -21:] = 0
    assert rows_of(plan)["a3 runs"]["is_anomaly"]


def test_a_change_of_all_agents_becomes_usual():
    plan = Plan()
    plan.runs[:, -NEW_NORMAL_D - 3 :] *= 2.5
    assert set(alarms(rows_of(plan, ago=NEW_NORMAL_D + 2))) == {"(all) runs"}
    assert not alarms(rows_of(plan))


def _with(name: str, column: str, value: object) -> Callable[[dict[str, pa.Table]], None]:
    def change(inputs: dict[str, pa.Table]) -> None:
        table = inputs[name]
        values = table[column].to_pylist()
        values[-5:] = [value] * 5
        place = table.column_names.index(column)
        kind = pa.float64() if isinstance(value, float) else table.schema.field(column).type
        inputs[name] = table.set_column(place, column, pa.array(values, kind))

    return change


def _all_null(name: str, column: str) -> Callable[[dict[str, pa.Table]], None]:
    def change(inputs: dict[str, pa.Table]) -> None:
        table = inputs[name]
        place = table.column_names.index(column)
        nulls = pa.nulls(table.num_rows, table.schema.field(column).type)
        inputs[name] = table.set_column(place, column, nulls)

    return change


def _without(name: str, column: str) -> Callable[[dict[str, pa.Table]], None]:
    def change(inputs: dict[str, pa.Table]) -> None:
        inputs[name] = inputs[name].drop_columns([column])

    return change


def _last_rows(count: int) -> Callable[[dict[str, pa.Table]], None]:
    def change(inputs: dict[str, pa.Table]) -> None:
        for name, table in inputs.items():
            newest = table.sort_by([("date", "descending")])
            inputs[name] = newest.slice(0, count)

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(_with(CALLS, "cost_usd", value) for value in (-7.0, math.inf, -math.inf, math.nan)),
        *(_with(CALLS, "cost_usd", value) for value in (0.0, 1e13, 1e308)),
        _with(CALLS, "total_tokens", -7.0),
        _with(CALLS, "latency_ms", math.inf),
        _with(RUNS, "duration_ms", 1e300),
        _with(RUNS, "duration_ms", -1),
        _with(RUNS, "status", None),
        _with(RUNS, "status", "a status of tomorrow"),
        _with(RUNS, "agent_id", ""),
        _with(RUNS, "agent_id", ALL_AGENTS),
        _with(RUNS, "agent_id", "(none)"),
        _with(REQUESTS, "status_code", None),
        _all_null(RUNS, "agent_id"),
        _all_null(RUNS, "status"),
        _all_null(CALLS, "cost_usd"),
        _all_null(CALLS, "latency_ms"),
        _all_null(REQUESTS, "status_code"),
        _without(CALLS, "status"),
        _without(CALLS, "model"),
        _last_rows(1),
        _last_rows(30),
        _last_rows(0),
    ],
)
def test_no_input_ends_the_run(change: Callable[[dict[str, pa.Table]], None]):
    plan = Plan()
    plan.runs[:] /= 4
    inputs = tables(plan)
    change(inputs)
    rows = list(derive(inputs, day=LAST))
    keys = [(row["agent_id"], row["metric"]) for row in rows]
    assert len(set(keys)) == len(keys)
    for row in rows:
        for each in row.values():
            assert not isinstance(each, float) or math.isfinite(each), row
        assert not any(word in str(row["explanation"]) for word in ("nan", "inf ", "-0 "))


def test_every_metric_has_thresholds_and_a_family():
    metrics = set(load_catalog()["derived/predictions/agent_anomalies"].column("metric").values)
    assert set(THRESHOLDS) == metrics
    assert [each for names in FAMILIES for each in names if each not in metrics] == []


def test_realistic_incidents_of_a_fleet_that_nothing_was_chosen_on():
    verdict = on_incidents(seeds=(991,))
    assert len(verdict.found) == EACH * len(KINDS)
    assert verdict.number_found >= 0.7 * len(verdict.found)
    assert verdict.median_delay_d == 0
    assert verdict.ordinary_flagged <= 2 * FALSE_ALARM_RATE * len(verdict.ordinary)
