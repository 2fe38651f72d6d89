"""What docs/models.md claims, as it was measured of the present code."""

import re
from pathlib import Path

import pytest

from benchmarks.models import alarms, failures, forecasts
from benchmarks.models.main import version_line, with_figures
from lake_assets.models.anomalies import FALSE_ALARM_RATE

PAGE = (Path(__file__).parents[2] / "docs/models.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table whose first header cell is `heading`."""
    table = PAGE.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()[2:]
        if line.startswith("|")
    ]


def number(cell: str) -> float:
    found = re.search(r"-?[\d.]+", cell)
    assert found is not None, cell
    return float(found[0])


def test_the_figures_are_of_the_present_version():
    assert version_line() in PAGE, "run `make bench-models`"


def test_each_claim_about_forecasts_stands_beside_what_was_measured():
    claims = rows("claim")
    assert {cells[3] for cells in claims} <= {"yes", "no"}
    assert any("month's end" in cells[0] for cells in claims)
    better = next(cells for cells in claims if "seasonal naive" in cells[0])
    assert number(better[2]) > 50


@pytest.mark.parametrize("series", ["**sample**", "**public**", "**simulated**"])
def test_forecasts_beat_seasonal_naive_and_intervals_cover_what_they_say(series: str):
    cells = next(row for row in rows("series") if row[0] == series)
    mase, naive, better, _, inner, outer = map(number, cells[2:])
    assert mase < naive
    assert better >= 80
    assert outer == pytest.approx(95, abs=5)
    # Most of the public ones are of months and quarters, for which the intervals are too wide.
    assert inner == pytest.approx(80, abs=10 if series == "**public**" else 5)


def test_alarms_are_right_more_often_than_simple_rules_and_miss_no_more():
    for days in ("sample, planted events", "simulated agents"):
        ours, *simple = [row for row in rows("days") if row[0] == days]
        assert len(simple) == 2
        assert number(ours[4]) >= 0.9
        assert number(ours[7]) >= 0.85
        assert all(number(ours[4]) > number(row[4]) for row in simple)


def test_the_stated_false_alarm_rate_is_not_exceeded():
    for row in rows("days"):
        if row[1].startswith("this detector"):
            found = re.search(r"\(([\d.]+) %\)", row[8])
            assert found is not None
            assert float(found[1]) / 100 <= FALSE_ALARM_RATE


def test_planted_failures_are_found_by_the_check_and_ordinary_days_pass():
    by_days = {row[0]: row for row in rows("days")}
    planted = by_days["sample, planted failures"]
    assert number(planted[2]) == number(planted[3])
    assert number(planted[5]) == number(planted[6]) > 0
    assert number(by_days["sample, no failures planted"][2]) == 0


def test_the_check_finds_the_outage_within_two_weeks():
    (found,) = failures.on_sample(seeds=(7,), days=14, partitions=("platform/webhook_deliveries",))
    assert (found.events, found.found, found.ordinary_flagged) == (1, 1, 0)


def test_the_measurement_itself_works_on_a_few_series():
    outcomes = forecasts.on_simulated(each=1, seed=3, lengths=(56,), origins=1)
    assert len(outcomes) == 13
    assert sum(each.wins for each in outcomes) >= 8
    ours, *simple = alarms.on_simulated(seeds=(1,), evaluated=3)
    assert ours.events == 8
    assert ours.precision > max(each.precision for each in simple)


def test_only_the_figures_are_rewritten():
    page = "a\n<!-- figures -->\nold\n<!-- /figures -->\nb\n"
    assert with_figures(page, "new") == "a\n<!-- figures -->\nnew\n<!-- /figures -->\nb\n"
