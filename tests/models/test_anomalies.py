import math
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.models.sample import nothing_planted, tables
from lake_assets.catalog import load_catalog
from lake_assets.models.anomalies import FALSE_ALARM_RATE, derive
from lake_assets.models.anomaly_alarms import ALL_AGENTS, FAMILIES, Finding, findings
from lake_assets.models.anomaly_baseline import NEW_NORMAL_D, Scores, score
from lake_assets.models.anomaly_measures import Kind, Measure, measures
from lake_assets.models.anomaly_sentences import explanation
from lake_assets.models.anomaly_thresholds import LEAST
from lake_assets.models.derivation import derivation_of
from lake_assets.models.series import Span
from lake_assets.sample_data import SampleSpec

LAST = date(2026, 11, 22)
WEEK = np.array([1.0, 1.1, 1.05, 1.0, 0.9, 0.5, 0.4])
Row = Mapping[str, Any]


def ago(days: int) -> date:
    return LAST - timedelta(days=days)


def alarms(rows: list[Row]) -> dict[tuple[str, str], Row]:
    return {(row["agent_id"], row["metric"]): row for row in rows if row["is_anomaly"]}


def who(row: Row) -> str:
    return "All agents" if row["agent_id"] == ALL_AGENTS else row["agent_id"]


@pytest.fixture(scope="module")
def sample() -> dict[str, pa.Table]:
    return tables(SampleSpec(last_day=LAST, days=45, rows_per_day=1_500, seed=3))


@pytest.fixture(scope="module")
def days(sample: dict[str, pa.Table]) -> dict[int, list[Row]]:
    return {back: list(derive(sample, day=ago(back))) for back in (1, 2, 3, 4, 5, 6, 12)}


@pytest.mark.parametrize(
    ("back", "agent", "metric", "direction"),
    [
        (3, "aurora", "tokens", "above"),
        (5, "sage", "error_rate", "above"),
        (4, "aurora", "latency_ms", "above"),
        (2, "ember", "runs", "below"),
        (4, "quill", "tokens", "above"),
        (6, "kestrel", "requests", "above"),
        (6, "kestrel", "request_error_rate", "above"),
    ],
)
def test_planted_events_are_alarms(
    days: dict[int, list[Row]], back: int, agent: str, metric: str, direction: str
):
    found = alarms(days[back])[agent, metric]
    assert found["direction"] == direction
    assert abs(found["z_score"]) >= LEAST
    assert found["severity"] != "none"
    assert not found["lower_bound"] <= found["observed_value"] <= found["upper_bound"]


def test_there_are_few_others(days: dict[int, list[Row]]):
    subjects = {"aurora", "sage", "ember", "quill", "kestrel"}
    others = [
        (back, key)
        for back, rows in days.items()
        for key in alarms(rows)
        if key[0] not in subjects and "latency_ms" not in key[1]
    ]
    assert len(others) <= 1, others
    assert alarms(days[12]) == {}


def test_days_without_events_have_no_alarm():
    with nothing_planted():
        inputs = tables(SampleSpec(last_day=LAST, days=40, rows_per_day=1_000, seed=11))
    flagged = [
        row for back in (0, 3, 6) for row in derive(inputs, day=ago(back)) if row["is_anomaly"]
    ]
    assert len(flagged) <= 1, [row["explanation"] for row in flagged]


@pytest.mark.parametrize("known", [3, 7, 8, 10, 14, 15, 21])
def test_the_first_weeks_of_a_lake_are_no_lasting_change(known: int):
    """Monday, as the weekday on which most begins to happen: there is nothing to compare with."""
    last = date(2026, 9, 21)
    young = tables(
        SampleSpec(last_day=last + timedelta(days=14), days=known + 14, rows_per_day=800)
    )
    rows = list(derive(young, day=last))
    assert [row["explanation"] for row in rows if row["severity"] != "none"] == []


def test_two_weeks_of_history_find_the_plain_events():
    inputs = tables(SampleSpec(last_day=LAST, days=14, seed=7))
    assert ("sage", "error_rate") in alarms(list(derive(inputs, day=ago(5))))
    assert ("ember", "runs") in alarms(list(derive(inputs, day=ago(2))))


def test_cost_is_merged_into_the_tokens_that_caused_it(days: dict[int, list[Row]]):
    rows = {(row["agent_id"], row["metric"]): row for row in days[3]}
    tokens, cost = rows["aurora", "tokens"], rows["aurora", "cost_usd"]
    assert tokens["is_anomaly"]
    assert not cost["is_anomaly"]
    assert cost["merged_into"] == "aurora tokens"
    assert cost["severity"] != "none"
    assert cost["rank"] is None
    assert cost["explanation"].endswith("; part of the alarm on aurora tokens.")
    assert tokens["explanation"].endswith(
        "; with it: tokens per model call (6.3 times), cost (4.3 times)."
    )


def test_alarms_are_ranked_by_score(days: dict[int, list[Row]]):
    for rows in days.values():
        ranked = sorted(alarms(rows).values(), key=lambda row: row["rank"])
        assert [row["rank"] for row in ranked] == list(range(1, len(ranked) + 1))
        sizes = [abs(row["z_score"]) for row in ranked]
        assert sizes == sorted(sizes, reverse=True)


def test_an_event_that_lasts_keeps_its_start(days: dict[int, list[Row]]):
    first, second = (alarms(days[back])["ember", "runs"] for back in (2, 1))
    assert first["episode_start"] == second["episode_start"] == ago(2)
    assert f"since {ago(2).isoformat()}" in second["explanation"]
    assert "since" not in first["explanation"]


def test_sentences_have_the_figures(days: dict[int, list[Row]]):
    silent = alarms(days[2])["ember", "runs"]
    assert silent["explanation"] == (
        "ember: runs came to 0, none at all (55 expected, 23 to 106 usual); about 55 runs missing."
    )
    errors = alarms(days[5])["sage", "error_rate"]
    assert f"{100 * errors['observed_value']:.1f} %" in errors["explanation"]
    for row in days[12]:
        assert row["explanation"].startswith(f"{who(row)}: ")
        assert "nothing unusual" in row["explanation"]
        assert "-0" not in row["explanation"]


def test_rows_have_the_declared_columns_and_values(days: dict[int, list[Row]]):
    dataset = load_catalog()["derived/predictions/agent_anomalies"]
    assert set(derivation_of(dataset).windows) == set(dataset.upstreams)
    rows = days[3]
    assert set(rows[0]) | {"generated_at"} == set(dataset.column_names)
    assert {row["metric"] for row in rows} == set(dataset.column("metric").values)
    assert {metric for family in FAMILIES for metric in family} == set(
        dataset.column("metric").values
    )
    assert {row["severity"] for row in rows} <= set(dataset.column("severity").values)
    assert len({(row["agent_id"], row["metric"]) for row in rows}) == len(rows)
    assert {row["false_alarm_rate"] for row in rows} == {FALSE_ALARM_RATE}


def test_the_order_of_rows_and_later_days_change_nothing(sample: dict[str, pa.Table]):
    order = random.Random(5)
    shuffled: dict[str, pa.Table] = {}
    for name, table in sample.items():
        places = list(range(table.num_rows))
        order.shuffle(places)
        shuffled[name] = table.take(places)
    cut = {
        name: table.filter(pa.array([day <= ago(4) for day in table["date"].to_pylist()]))
        for name, table in sample.items()
    }
    expected = list(derive(cut, day=ago(4)))
    assert list(derive(shuffled, day=ago(4))) == expected


def test_nothing_is_said_of_a_day_without_rows(sample: dict[str, pa.Table]):
    assert list(derive(sample, day=LAST + timedelta(days=1))) == []
    empty = {name: table.slice(0, 0) for name, table in sample.items()}
    assert list(derive(empty, day=LAST)) == []


def test_a_new_agent_is_not_judged_and_says_why():
    inputs = tables(SampleSpec(last_day=LAST, days=5, rows_per_day=500))
    rows = list(derive(inputs, day=LAST))
    assert rows
    assert not alarms(rows)
    assert {row["expected_value"] for row in rows} == {None}
    assert "4 earlier days are known and 7 are needed" in str(rows[0]["explanation"])


def measure(
    values: np.ndarray[Any, Any], *, kind: Kind = Kind.AMOUNT, trials: Any = None
) -> Measure:
    metric = {Kind.AMOUNT: "runs", Kind.RATE: "error_rate", Kind.TYPICAL: "latency_ms"}[kind]
    return Measure(
        metric=metric,
        kind=kind,
        agents=tuple(f"a{row}" for row in range(len(values))),
        values=values,
        trials=values if trials is None else trials,
        present=np.ones(values.shape[1], dtype=np.bool_),
        spread=np.full(len(values), 0.6),
    )


def counts(agents: int, days: int, *, seed: int, level: float = 80.0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.poisson(level * np.resize(WEEK, (agents, days))).astype(float)


def test_a_weekend_is_no_anomaly_and_a_silent_monday_is():
    values = counts(6, 63, seed=1)
    assert not score(measure(values)).flagged.any()
    values[2, 56] = 0
    flagged = score(measure(values)).flagged
    assert np.argwhere(flagged).tolist() == [[2, 56]]


def test_growth_is_no_anomaly():
    values = np.rint(counts(6, 70, seed=2) * np.exp(0.015 * np.arange(70)))
    assert score(measure(values)).flagged.sum() <= 1


def test_a_new_level_becomes_usual():
    values = counts(6, 70, seed=3)
    values[0, 45:] *= 4
    flagged = score(measure(values)).flagged[0]
    assert flagged[45 : 45 + NEW_NORMAL_D].all()
    assert not flagged[45 + NEW_NORMAL_D + 4 :].any()


def test_few_rows_are_no_alarm():
    values = counts(6, 63, seed=4, level=1.0)
    values[:, 60] = 0
    assert not score(measure(values)).flagged[:, 60].any()


def test_constant_series_and_zeros_are_scored_without_alarm():
    values = np.stack([np.full(50, 20.0), np.zeros(50), np.full(50, 1e9)])
    found = score(measure(values))
    assert not found.flagged.any()
    assert np.isnan(found.z[1]).all()


def test_a_rate_is_judged_by_its_trials():
    few, many = np.full((3, 50), 4.0), np.full((3, 50), 200.0)
    rates = np.full((3, 50), 0.05)
    rates[0, 49] = 0.5
    assert not score(measure(rates, kind=Kind.RATE, trials=few)).flagged.any()
    found = score(measure(rates, kind=Kind.RATE, trials=many))
    assert np.argwhere(found.flagged).tolist() == [[0, 49]]
    assert found.upper[0, 49] < 0.5
    rates[0, 49] = 0.0
    assert not score(measure(rates, kind=Kind.RATE, trials=many)).flagged.any()


def test_wilder_agents_need_larger_changes():
    rng = np.random.default_rng(7)
    values = counts(2, 63, seed=8, level=200.0)
    values[1] = np.rint(values[1] * np.exp(rng.normal(0, 0.5, 63)))
    values[:, 60] *= 2
    found = score(measure(values))
    assert found.flagged[0, 60]
    assert not found.flagged[1, 60]


def test_where_most_agents_are_off_one_alarm_stands_for_all():
    values = counts(8, 63, seed=9)
    values[:6, 62] = 0
    each = measure(values)
    found = findings([(each, score(each))], Span(last=LAST, days=63))
    raised = [finding for finding in found if finding.is_alarm]
    assert len(raised) == 1
    assert raised[0].label == "(all) runs"
    assert len(raised[0].also) == 6
    assert sum(finding.merged_into == raised[0].label for finding in found) == 6


def test_an_alarm_on_all_agents_is_not_said_to_be_in_the_usual_range():
    about = Finding(
        agent=ALL_AGENTS,
        metric="slow_latency_ms",
        day=LAST,
        observed=3_336.0,
        trials=100,
        baseline_days=80,
        expected=2_914.0,
        z=4.3,
        lower=2_331.0,
        upper=3_642.0,
        flagged=True,
        agents=12,
    )
    said = explanation(about, LAST)
    assert "2,914 ms expected, many agents off at once" in said
    assert "3,642 ms" not in said
    assert "2,331 ms to 3,000 ms usual" in explanation(replace(about, upper=3_000.0), LAST)


def test_opposite_sides_are_different_incidents():
    down, up = counts(6, 63, seed=10), counts(6, 63, seed=11)
    down[0, 62], up[0, 62] = 0, 600
    first, second = measure(down), measure(up)
    second = Measure(
        metric="tokens",
        kind=Kind.AMOUNT,
        agents=second.agents,
        values=second.values,
        trials=second.trials,
        present=second.present,
        spread=second.spread,
    )
    scored: list[tuple[Measure, Scores]] = [(each, score(each)) for each in (first, second)]
    found = findings(scored, Span(last=LAST, days=63))
    assert {f.metric for f in found if f.is_alarm} == {"runs", "tokens"}


def test_measures_are_what_the_rows_say():
    table = pa.table(
        {
            "date": pa.array([LAST] * 5, pa.date32()),
            "agent_id": ["a", "a", "a", "a", None],
            "status": ["succeeded", "failed", "running", "timed_out", "failed"],
            "duration_ms": pa.array([100, 10_000, None, None, 7], pa.int64()),
        }
    )
    found = {m.metric: m for m in measures({"agent_run_log": table}, Span(last=LAST, days=1))}
    assert {name: each.values.tolist() for name, each in found.items()} == {
        "runs": [[4.0]],
        "error_rate": [[pytest.approx(2 / 3)]],
        "timeout_rate": [[pytest.approx(1 / 3)]],
        "cancelled_rate": [[0.0]],
        "unfinished_rate": [[0.25]],
        "slow_duration_ms": [[pytest.approx(math.nan, nan_ok=True)]],
        "duration_ms": [[pytest.approx(1_000.0)]],
    }
    assert found["error_rate"].trials.tolist() == [[3.0]]
