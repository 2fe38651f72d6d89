from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from tests.fakes import base
from tests.fakes.packages import FakePackages
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import LASTING, are_over, trouble

YESTERDAY = TODAY - timedelta(days=1)
WEEK_AGO = TODAY - timedelta(days=7)
PACKAGES = dg.AssetKey("package_stats")


@pytest.fixture
def packages(collecting):
    return collecting("package_stats", FakePackages())


def expected(day):
    count = FakePackages.count
    return [
        ("npm", "@lake/react", day, count("@lake/react", day), None),
        ("npm", "lake-client", day, count("lake-client", day), None),
        ("pypi", "lake-client", day, count("lake-client", day), count("lake-client", day) + 500),
    ]


def said(rows):
    names = ("registry", "package", "metric_date", "downloads", "downloads_with_mirrors")
    return [tuple(row[name] for name in names) for row in rows]


def test_a_day_has_one_row_per_package(packages):
    assert packages.run(YESTERDAY).success

    assert said(packages.rows(YESTERDAY)) == expected(YESTERDAY)
    assert {row["source"] for row in packages.rows(YESTERDAY)} == {"npm", "pypistats"}
    assert {row["collected_at"] for row in packages.rows(YESTERDAY)} == {packages.now}


def test_a_week_asks_once_per_package(packages):
    assert packages.run(WEEK_AGO, YESTERDAY).success

    assert len(packages.fake.requests) == 3
    assert len(packages.days) == 7
    for day in packages.days:
        assert said(packages.rows(day)) == expected(day)


def test_a_day_without_any_count_is_not_published_and_stays_missing(packages):
    packages.fake.npm_until = packages.fake.pypi_until = YESTERDAY - timedelta(days=1)

    result = packages.run(YESTERDAY)

    assert result.success
    assert packages.days == []
    assert metadata(result) == {}
    assert list(result.get_asset_check_evaluations()) == []
    assert observed(result) == {
        f"{YESTERDAY}": f"not published yet: neither npm nor PyPI Stats has counts of {YESTERDAY}"
    }


def test_the_next_tick_finds_what_was_not_published(packages):
    packages.fake.npm_until = packages.fake.pypi_until = YESTERDAY - timedelta(days=1)
    schedule = {"dagster/schedule_name": "collect_package_stats"}
    late = packages.run(WEEK_AGO, YESTERDAY, **schedule)
    assert "not published yet" in observed(late)[f"{YESTERDAY}"]
    written = {f"{WEEK_AGO + timedelta(days=i)}" for i in range(6)}
    assert packages.instance.get_materialized_partitions(PACKAGES) == written
    assert YESTERDAY not in packages.days

    packages.fake.npm_until = packages.fake.pypi_until = YESTERDAY
    packages.run(WEEK_AGO, YESTERDAY, **schedule)

    assert said(packages.rows(YESTERDAY)) == expected(YESTERDAY)


def test_zeros_of_a_day_that_npm_has_not_counted_are_no_counts(packages):
    packages.fake.npm_until = YESTERDAY - timedelta(days=1)

    packages.run(YESTERDAY)

    assert said(packages.rows(YESTERDAY)) == expected(YESTERDAY)[2:]


def test_an_old_day_without_counts_is_empty_and_says_so(packages):
    del packages.env["NPM_PACKAGES"]
    old = TODAY - timedelta(days=200)

    result = packages.run(old)

    assert packages.rows(old) == []
    assert metadata(result)[f"{old}"]["reason"] == "the source has no rows for the day"


def test_a_schedule_writes_its_window_again(packages):
    schedule = {"dagster/schedule_name": "collect_package_stats"}
    packages.run(WEEK_AGO, YESTERDAY, **schedule)
    packages.fake.count = lambda *_: 7

    packages.run(WEEK_AGO, YESTERDAY, **schedule)

    assert {row["downloads"] for day in packages.days for row in packages.rows(day)} == {7}


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2024, 3, 1), date(2025, 12, 31)])
def test_leap_days_and_ends_of_years_are_days_like_any(collecting, day):
    packages = collecting("package_stats", FakePackages(day + timedelta(days=1)))
    packages.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(days=1)

    packages.run(day)

    assert said(packages.rows(day)) == expected(day)


def test_new_fields_are_no_matter_and_a_day_that_comes_twice_is_kept_once(packages):
    def change(page):
        page["note"] = "x"
        page["downloads"] = [day | {"note": "x"} for day in page["downloads"] * 2]

    packages.fake.break_with(base.rewritten(change), where="react")

    result = packages.run(YESTERDAY)

    assert said(packages.rows(YESTERDAY)) == expected(YESTERDAY)
    assert metadata(result)[f"{YESTERDAY}"]["repeated_rows"] == 1


def test_counts_that_pypi_stats_no_longer_keeps_stay(packages):
    packages.run(YESTERDAY)
    packages.now += timedelta(days=190)
    packages.fake.pypi_until = YESTERDAY - timedelta(days=1)

    again = packages.run(YESTERDAY)

    assert said(packages.rows(YESTERDAY)) == expected(YESTERDAY)
    assert metadata(again)[f"{YESTERDAY}"]["kept_rows"] == 1


def test_an_unknown_package_is_left_out_with_a_warning(packages):
    packages.env["NPM_PACKAGES"] += ",no-such-package"

    result = packages.run(YESTERDAY)

    assert said(packages.rows(YESTERDAY)) == expected(YESTERDAY)
    assert "packages without any count were left out: no-such-package" in packages.texts(result)


def test_no_known_package_at_all_fails(packages):
    packages.env |= {"NPM_PACKAGES": "nope", "PYPI_PACKAGES": "nope"}

    assert "none of the packages is known: nope, nope" in failure(packages.run(YESTERDAY))


def test_without_any_package_the_run_is_skipped(packages):
    packages.env |= {"NPM_PACKAGES": "", "PYPI_PACKAGES": " "}

    assert observed(packages.run(YESTERDAY)) == {
        f"{YESTERDAY}": "Skipped: npm and PyPI downloads is not configured: "
        "set NPM_PACKAGES or PYPI_PACKAGES"
    }
    assert packages.fake.requests == []


def test_a_base_url_that_is_none_is_said_before_anything_is_asked(packages):
    packages.env["NPM_BASE_URL"] = "api.npmjs.org"

    (reason,) = observed(packages.run(YESTERDAY)).values()

    assert "NPM_BASE_URL must start with https:// or http://" in reason


def test_days_out_of_reach_are_said_before_anything_is_asked(packages):
    result = packages.run(TODAY - timedelta(days=600))

    assert "npm answers for 18 months" in failure(result)
    assert packages.fake.requests == []


def test_a_range_is_asked_for_within_reach_only(packages):
    packages.run(TODAY - timedelta(days=545), TODAY - timedelta(days=538))

    (first, *_) = packages.fake.asked("/downloads/range/")
    assert f"/{TODAY - timedelta(days=540)}:{TODAY - timedelta(days=538)}/" in first.path
    assert len(packages.days) == 3


def test_rows_are_exact_after_faults_that_pass(packages):
    plans = trouble(packages, "react", "overall")

    assert packages.run(YESTERDAY).success

    assert are_over(plans)
    assert said(packages.rows(YESTERDAY)) == expected(YESTERDAY)


def test_a_fault_that_stays_keeps_the_stored_day(packages):
    packages.run(YESTERDAY)
    spoil, words = LASTING
    packages.fake.break_with(spoil, where="overall", times=99)

    assert words in failure(packages.run(YESTERDAY))
    assert said(packages.rows(YESTERDAY)) == expected(YESTERDAY)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda page: page["downloads"][0].update(downloads="12"), "Expected `int`, got `str`"),
        (lambda page: page["downloads"][0].pop("day"), "missing required field `day`"),
        (
            lambda page: page["downloads"][0].update(day="2026-13-01"),
            "Invalid RFC3339 encoded date",
        ),
        (lambda page: page.pop("downloads"), "missing required field `downloads`"),
    ],
)
def test_a_field_that_does_not_fit_is_named(packages, change, says):
    packages.fake.break_with(base.rewritten(change), where="range")

    assert says in failure(packages.run(YESTERDAY))
