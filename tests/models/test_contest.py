"""The contest of forecasts with plain models measures what it says it does."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from benchmarks.models import (
    contest,
    contest_bars,
    contest_tables,
    daily_tables,
    rivals,
    simulated,
    unseen_sources,
)
from benchmarks.models.contest import OURS, Interval, Score
from benchmarks.models.unseen import PARTS, TRAIN, Source, data_set, group_of, part_of


def source(values: np.ndarray, *, first: date = date(2026, 1, 1)) -> Source:
    return Source(name="shop", first=first, series={"a": values}, counts=True)


def test_interval_score_is_width_and_what_lies_outside_by_the_level():
    actual = np.array([5.0, 12.0, -1.0])
    lower, upper = np.full(3, 0.0), np.full(3, 10.0)
    inner = contest.interval(actual, lower, upper, level=0.8, scale=2.0)
    outer = contest.interval(actual, lower, upper, level=0.95, scale=1.0)
    assert inner.width == pytest.approx(10 / 2)
    assert inner.score == pytest.approx((10 + 10 * (2 + 1) / 3) / 2)
    assert outer.score == pytest.approx(10 + 40 * (2 + 1) / 3)
    assert inner.covered == outer.covered == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ("dense", np.resize([10.0, 11, 12, 11, 10, 4, 3], TRAIN)),
        ("sparse", np.resize([3.0, 0, 5, 2, 0], TRAIN)),
        ("negative", np.r_[np.full(TRAIN - 1, 9.0), -0.5]),
        ("growing", np.linspace(10, 30, TRAIN)),
        ("after a shift", np.r_[np.full(TRAIN - 28, 10.0), np.full(28, 20.0)]),
    ],
)
def test_a_series_is_in_the_group_that_describes_it(group: str, values: np.ndarray):
    assert group_of(values) == group


def test_a_step_of_long_ago_is_no_shift():
    assert group_of(np.r_[np.full(28, 10.0), np.full(TRAIN - 28, 20.0)]) != "after a shift"


def test_all_sources_of_a_data_set_are_in_one_part_and_both_parts_have_some():
    parts: dict[str, set[str]] = {}
    for name in unseen_sources.NAMES:
        parts.setdefault(data_set(name), set()).add(part_of(name))
    assert all(len(found) == 1 for found in parts.values())
    for part in PARTS:
        assert sum(found == {part} for found in parts.values()) >= 8


def test_the_judging_part_of_a_simulated_group_has_other_series():
    for group in simulated.GROUPS:
        chosen, judged = (simulated.source(group, part, 2).series for part in PARTS)
        assert all((chosen[name] != judged[name]).any() for name in chosen)
        again = simulated.source(group, "choosing", 2).series
        assert all((chosen[name] == again[name]).all() for name in chosen)


@pytest.mark.parametrize(
    ("last", "left"),
    [
        (date(2026, 1, 1), 30),
        (date(2026, 1, 30), 1),
        (date(2026, 2, 28), 0),
        (date(2024, 2, 28), 1),
    ],
)
def test_days_left_of_a_month(last: date, left: int):
    assert contest.days_left(source(np.ones(200), first=last), 1) == left


def test_events_are_zero_on_days_without_rows_and_measurements_are_interpolated():
    table = pd.DataFrame(
        {"a": [2.0, 6.0], "b": [1.0, 3.0]}, index=pd.to_datetime(["2026-01-01", "2026-01-03"])
    )
    events = daily_tables.source_of("x", table, counts=True)
    measured = daily_tables.source_of("x", table, counts=False, measured=True)
    assert events.series["a"].tolist() == [2, 0, 6]
    assert measured.series["a"].tolist() == [2, 4, 6]
    assert events.first == date(2026, 1, 1)


def test_of_many_series_the_largest_the_smallest_and_some_between_are_taken():
    table = pd.DataFrame(
        {f"s{number:02}": np.full(3, 20.0 - number) for number in range(15)},
        index=pd.date_range("2026-01-01", periods=3),
    )
    taken = daily_tables.source_of("x", table, counts=True, most=3).series
    assert list(taken) == ["s00", "s07", "s14"]


def test_every_contender_is_scored_on_the_same_days(monkeypatch, tmp_path):
    monkeypatch.setattr(rivals, "CACHE", tmp_path)
    sparse = simulated.source("sparse", "choosing", 2)
    found = contest.scores(sparse, origins=1, group="sparse")
    assert {each.contender for each in found} == {OURS, *rivals.PLAIN}
    assert len(found) == 2 * (1 + len(rivals.PLAIN))
    for each in found:
        for interval in (each.inner, each.outer):
            assert interval.score >= interval.width > 0
            assert 0 <= interval.covered <= 1
        assert each.mase > 0
    naive = next(each for each in found if each.contender == rivals.NAIVE)
    values = sparse.series[naive.series]
    training, actual = values[:TRAIN], values[TRAIN : TRAIN + 14]
    scale = np.abs(training[7:] - training[:-7]).mean()
    expected = np.abs(actual - np.resize(training[-7:], 14)).mean() / scale
    assert naive.mase == pytest.approx(expected)
    # The second time, they come from the cache.
    monkeypatch.setattr(rivals, "_all", None)
    assert contest.scores(sparse, origins=1, group="sparse") == found


def test_a_run_that_ends_counts_as_no_forecast(monkeypatch, tmp_path, capsys):
    def ends(*_: object) -> None:
        raise OverflowError("too much")

    monkeypatch.setattr(rivals, "CACHE", tmp_path)
    monkeypatch.setattr(contest, "forecast", ends)
    found = contest.scores(simulated.source("dense", "choosing", 1), origins=1)
    assert OURS not in {each.contender for each in found}
    assert "too much" in capsys.readouterr().out
    assert contest_tables.compared(found) == []


def made(
    contender: str, mase: float, *, name: str, series: str = "a", group: str = "dense"
) -> Score:
    interval = Interval(score=mase, width=mase / 2, covered=0.8)
    return Score(
        source=name,
        series=series,
        origin=126,
        group=group,
        contender=contender,
        mase=mase,
        inner=interval,
        outer=interval,
        sum_error=mase / 10,
    )


def test_ratios_are_over_series_and_over_data_sets():
    scores = [
        made(contender, mase, name=name, series=series)
        for name, series, ours, mean in (
            ("a: 1", "x", 1.0, 2.0),
            ("a: 2", "y", 1.0, 2.0),
            ("b", "z", 3.0, 2.0),
        )
        for contender, mase in ((OURS, ours), (rivals.MEAN, mean), (rivals.NAIVE, 2.5))
    ]
    cells = contest_tables.points_table("judging", scores).splitlines()[2].split(" | ")
    assert cells[1:8] == ["3", "2", "1.67", "2.00", "2.50", "0.833", "1.000"]
    assert cells[8] == "67 %"
    assert "Sources with a greater MASE than the mean of three: b (1.50)." in (
        contest_tables.significance(scores)
    )


def test_a_claim_holds_between_its_bounds_only():
    bar = contest_bars.Bar(claim="x", measured=86.0, least=75, most=85, form=".1f", unit=" %")
    assert not bar.holds
    assert bar.cells() == ("x", "at least 75 % and at most 85 %", "86.0 %", "no")
    assert contest_bars.Bar(claim="x", measured=0.9, most=0.9).holds
    assert not contest_bars.Bar(claim="x", measured=79.9, least=80).holds


def test_claims_are_measured_of_the_scores():
    scores = [
        made(contender, mase, name="a", group=group)
        for group in contest_tables.ORDER
        for contender in (OURS, *rivals.PLAIN)
        for mase in (1.0 if contender == OURS else 2.0,)
    ]
    found = {bar.claim: bar for bar in contest_bars.bars(scores, 16.0)}
    assert found["MASE over that of the mean of three, over series"].measured == pytest.approx(0.5)
    assert found["interval score at 95 % over the best plain model's, sparse series"].holds
    assert found["days in the 80 % interval, dense series"].measured == pytest.approx(80)
    assert not found["days in the 95 % interval, dense series"].holds
    assert not found["processor time of 100 agents"].holds
    lines = contest_bars.table(scores, 16.0).splitlines()
    assert len(lines) == 2 + len(found)
