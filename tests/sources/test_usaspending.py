from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.fakes import base
from tests.fakes.usaspending import CODES, FakeUsaspending, award
from tests.sources.conftest import TODAY, failure, metadata, observed
from tests.sources.faults import LASTING, are_over, trouble

YESTERDAY = TODAY - timedelta(days=1)
PAGES = "spending_by_award/"


@pytest.fixture
def awards(collecting):
    return collecting("external/scc/federal_awards", FakeUsaspending())


def said(rows):
    return [(row["award_group"], row["generated_internal_id"]) for row in rows]


def expected(day=YESTERDAY):
    back = (TODAY - day).days
    return [
        (group, f"{group.upper()}_AWD_{10 * back + place:06}_8000_-NONE-_-NONE-")
        for place, group in enumerate(CODES)
    ]


def contracts(count, *, modified=f"{YESTERDAY}"):
    return [award("contracts", number, modified) for number in range(count)]


def numbers(rows):
    return [row["internal_id"] - 900_000_000 for row in rows]


def test_a_contract_is_told_in_full(awards):
    assert awards.run(YESTERDAY).success

    rows = awards.rows(YESTERDAY)
    assert said(rows) == expected()
    assert rows[0] == {
        "generated_internal_id": "CONTRACTS_AWD_000010_8000_-NONE-_-NONE-",
        "internal_id": 900_000_010,
        "award_id": "80NSSC000010",
        "award_group": "contracts",
        "award_type": "DELIVERY ORDER",
        "recipient_name": "EXAMPLE AEROSPACE INC",
        "recipient_uei": "ABCDEF123456",
        "recipient_id": "11111111-2222-3333-4444-555555555555-C",
        "award_amount": Decimal("1250000.500000"),
        "total_outlays": Decimal("310000.100000"),
        "loan_value": None,
        "subsidy_cost": None,
        "awarding_agency": "National Aeronautics and Space Administration",
        "awarding_sub_agency": "National Aeronautics and Space Administration",
        "funding_agency": "National Aeronautics and Space Administration",
        "funding_sub_agency": "National Aeronautics and Space Administration",
        "start_date": date(2026, 1, 5),
        "end_date": date(2027, 1, 4),
        "base_obligation_date": date(2026, 1, 5),
        "last_modified": datetime(2026, 11, 22, tzinfo=UTC),
        "description": "WIND TUNNEL; QUESTIONS TO [address]",
        "naics_code": "541715",
        "naics_description": "R&D IN THE PHYSICAL SCIENCES",
        "psc_code": "AR11",
        "psc_description": "SPACE R&D SERVICES",
        "cfda_number": None,
        "pop_state_code": "CA",
        "pop_county_code": "085",
        "pop_county_name": "SANTA CLARA",
        "pop_city": "SUNNYVALE",
        "pop_zip5": "94089",
        "collected_at": awards.now,
    }


def test_each_group_has_its_own_fields(awards):
    awards.run(YESTERDAY)

    rows = {row["award_group"]: row for row in awards.rows(YESTERDAY)}
    own = (
        "award_type",
        "start_date",
        "end_date",
        "award_amount",
        "loan_value",
        "naics_code",
        "cfda_number",
    )
    start, end = date(2026, 1, 5), date(2027, 1, 4)
    amount, aid = Decimal("1250000.5"), "PROJECT GRANT (B)"
    assert {group: tuple(row[name] for name in own) for group, row in rows.items()} == {
        "contracts": ("DELIVERY ORDER", start, end, amount, None, "541715", None),
        "idvs": ("DELIVERY ORDER", start, date(2031, 1, 4), amount, None, "541715", None),
        "grants": (aid, start, end, amount, None, None, "43.001"),
        "direct_payments": (aid, start, end, amount, None, None, "43.001"),
        "loans": (None, date(2026, 2, 1), None, None, Decimal(50_000), None, "43.001"),
        "other": (aid, start, end, amount, None, None, "43.001"),
    }
    assert rows["loans"]["subsidy_cost"] == Decimal("-12.34")


def test_only_groups_that_have_awards_are_asked_for(awards):
    awards.fake.awards = [award("loans", 7, f"{YESTERDAY}")]

    awards.run(YESTERDAY)

    (asked,) = awards.fake.asked(PAGES)
    assert asked.json()["filters"]["award_type_codes"] == ["07", "08", "F003", "F004"]
    assert len(awards.fake.requests) == 3


def test_a_day_is_the_day_of_the_last_modification_in_one_county(awards):
    awards.fake.awards = [
        award("grants", 1, f"{YESTERDAY - timedelta(days=1)} 23:59:59"),
        award("grants", 2, f"{YESTERDAY} 00:00:00"),
        award("grants", 3, f"{YESTERDAY} 23:59:59"),
        award("grants", 4, f"{TODAY} 00:00:00"),
        award("grants", 5, f"{YESTERDAY}", county="001"),
    ]

    awards.run(YESTERDAY)

    moments = [row["last_modified"] for row in awards.rows(YESTERDAY)]
    assert moments == [
        datetime(2026, 11, 22, tzinfo=UTC),
        datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC),
    ]


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2024, 12, 31), date(2007, 10, 1)])
def test_leap_days_ends_of_years_and_the_first_day_are_days(awards, day):
    awards.fake.awards = [award("grants", 1, f"{day}")]

    assert awards.run(day).success
    assert len(awards.rows(day)) == 1


@pytest.mark.parametrize("count", [1, 9, 10, 11, 20, 25])
def test_pages_are_followed_to_the_end(awards, count):
    awards.fake.page_rows, awards.fake.awards = 10, contracts(count)

    assert awards.run(YESTERDAY).success

    assert numbers(awards.rows(YESTERDAY)) == list(range(count))
    assert len(awards.fake.asked(PAGES)) == (count + 9) // 10


def test_more_awards_than_page_numbers_reach_all_come(awards):
    awards.fake.awards = contracts(10_250)

    assert awards.run(YESTERDAY).success

    assert numbers(awards.rows(YESTERDAY)) == list(range(10_250))


def test_awards_with_the_same_number_of_an_agency_are_told_apart(awards):
    awards.fake.page_rows = 2
    awards.fake.awards = [
        award("contracts", n, f"{YESTERDAY}", **{"Award ID": "1"}) for n in range(7)
    ]

    awards.run(YESTERDAY)

    assert numbers(awards.rows(YESTERDAY)) == list(range(7))


def test_awards_that_come_while_pages_are_read_shift_none(awards):
    fake = awards.fake
    fake.page_rows, fake.awards = 10, contracts(100)[50:]

    def one_more_at_the_front():
        fake.awards.append(award("contracts", 49 - len(fake.asked(PAGES)), f"{YESTERDAY}"))

    fake.after_page = one_more_at_the_front

    result = awards.run(YESTERDAY)

    assert numbers(awards.rows(YESTERDAY)) == list(range(50, 100))
    assert "repeated_rows" not in metadata(result)[f"{YESTERDAY}"]


def test_awards_that_go_while_pages_are_read_fail_the_run(awards):
    fake = awards.fake
    fake.page_rows, fake.awards = 10, contracts(50)
    fake.after_page = fake.awards.pop

    result = awards.run(YESTERDAY)

    assert "contracts changed meanwhile: 46 of 50 came; run it again later" in failure(result)
    assert awards.days == []


def test_awards_that_come_twice_are_kept_once(awards):
    awards.fake.break_with(
        base.rewritten(lambda page: page["results"].append(page["results"][0])), where=PAGES
    )

    result = awards.run(YESTERDAY)

    assert said(awards.rows(YESTERDAY)) == expected()
    assert metadata(result)[f"{YESTERDAY}"]["repeated_rows"] == 1


def test_a_cursor_that_does_not_move_fails_instead_of_asking_for_ever(awards):
    awards.fake.page_rows, awards.fake.awards = 10, contracts(50)

    def stuck(page):
        page["page_metadata"] |= {"last_record_unique_id": 1, "last_record_sort_value": "0"}

    awards.fake.break_with(base.rewritten(stuck), where=PAGES, times=99)
    assert "page 2 says that there is more, but not where" in failure(awards.run(YESTERDAY))

    awards.fake.faults.clear()
    awards.fake.break_with(
        base.rewritten(lambda page: page["page_metadata"].update(last_record_unique_id=None)),
        where=PAGES,
    )
    assert "page 1 says that there is more, but not where" in failure(awards.run(YESTERDAY))


def test_a_day_that_is_not_loaded_yet_is_not_published(awards):
    awards.fake.updated = YESTERDAY

    result = awards.run(YESTERDAY)

    assert result.success
    assert awards.days == []
    assert observed(result) == {
        f"{YESTERDAY}": f"not published yet: USAspending was last updated on {YESTERDAY}"
    }
    assert awards.fake.asked("search") == []

    awards.fake.updated = TODAY
    awards.run(YESTERDAY)
    assert said(awards.rows(YESTERDAY)) == expected()


def test_a_day_without_awards_is_empty_and_says_so(awards):
    awards.fake.awards = []

    result = awards.run(YESTERDAY)

    assert awards.rows(YESTERDAY) == []
    assert metadata(result)[f"{YESTERDAY}"]["reason"] == "the source has no rows for the day"
    assert awards.fake.asked(PAGES) == []


def test_a_schedule_writes_its_week_again_and_an_award_is_in_its_newer_day_too(awards):
    schedule = {"dagster/schedule_name": "collect_scc_federal_awards"}
    week = (TODAY - timedelta(days=7), YESTERDAY)
    awards.run(*week, **schedule)
    assert [said(awards.rows(day)) for day in awards.days] == [expected(day) for day in awards.days]
    moved = next(a for a in awards.fake.awards if a["Last Modified Date"] == f"{week[0]}")
    moved |= {"Last Modified Date": f"{YESTERDAY}", "Award Amount": 7.25}

    awards.run(*week, **schedule)

    assert len(awards.days) == 7
    # USAspending no longer shows it here; what it was then is its older version.
    assert sorted(said(awards.rows(week[0]))) == sorted(expected(week[0]))
    older = {row["generated_internal_id"]: row for row in awards.rows(week[0])}
    assert older[moved["generated_internal_id"]]["last_modified"].date() == week[0]
    newest = {row["generated_internal_id"]: row for row in awards.rows(YESTERDAY)}
    assert len(newest) == 7
    assert newest[moved["generated_internal_id"]]["award_amount"] == Decimal("7.25")


def test_a_backfill_keeps_days_that_are_there_unless_asked(awards):
    first = YESTERDAY - timedelta(days=2)
    awards.run(first, YESTERDAY)
    assert len(awards.fake.asked("last_updated")) == 1
    asked = len(awards.fake.requests)

    kept = awards.run(first, YESTERDAY)
    assert "kept as it is" in metadata(kept)[f"{first}"]["reason"]
    assert len(awards.fake.requests) == asked

    awards.run(first - timedelta(days=1), YESTERDAY)
    assert len(awards.days) == 4
    assert len(awards.fake.asked("count")) == 4
    awards.run(first, YESTERDAY, **{"lake/refetch": "true"})
    assert len(awards.fake.asked("count")) == 7


def test_rows_are_exact_after_faults_that_pass(awards):
    awards.run(YESTERDAY)
    before = awards.rows(YESTERDAY)
    awards.forget()
    awards.fake.page_rows = 1
    plans = trouble(awards, "last_updated", "count", PAGES)

    assert awards.run(YESTERDAY).success

    assert are_over(plans)
    assert awards.rows(YESTERDAY) == before


def test_a_fault_that_stays_fails_with_one_clear_line_and_writes_nothing(awards):
    spoil, words = LASTING
    awards.fake.break_with(spoil, where=PAGES, times=99)

    result = awards.run(YESTERDAY)

    assert "USAspending.gov: POST " in failure(result)
    assert words in failure(result)
    assert awards.days == []


def test_a_run_that_breaks_off_midway_keeps_the_stored_day_and_the_next_run_is_whole(awards):
    awards.fake.page_rows, awards.fake.awards = 10, contracts(50)
    awards.run(YESTERDAY)
    before = awards.rows(YESTERDAY)
    down = awards.fake.break_with(base.status(503), where=PAGES, skip=3, times=99)

    assert "HTTP 503: busy (tried 3 times); run it again later" in failure(awards.run(YESTERDAY))
    assert awards.rows(YESTERDAY) == before

    down.times = 0
    assert awards.run(YESTERDAY).success
    assert awards.rows(YESTERDAY) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Last Modified Date": "yesterday"}, "`Last Modified Date` is no moment: 'yesterday'"),
        ({"Last Modified Date": None}, "Expected `str`, got `null`"),
        ({"Last Modified Date": "2026-11-20"}, "modified on 2026-11-20 came for 2026-11-22"),
        ({"NAICS": "541715"}, "Expected `object`, got `str` - at `$.results[0].NAICS`"),
    ],
)
def test_a_field_that_does_not_fit_is_named(awards, change, says):
    awards.fake.break_with(
        base.rewritten(lambda page: page["results"][0].update(change)), where=PAGES
    )

    assert says in failure(awards.run(YESTERDAY))
    assert awards.days == []


@pytest.mark.parametrize("name", ["Recipient Name", "Award Amount", "generated_internal_id"])
def test_a_missing_field_is_named_and_a_new_one_is_no_matter(awards, name):
    awards.fake.break_with(
        base.rewritten(lambda page: page["results"][0].update(new=[1])), where=PAGES
    )
    assert awards.run(YESTERDAY).success

    awards.fake.break_with(base.rewritten(lambda page: page["results"][0].pop(name)), where=PAGES)
    assert f"missing required field `{name}`" in failure(awards.run(YESTERDAY))


def test_a_filter_that_is_ignored_fails_the_run(awards):
    awards.fake.messages = [
        "The following filters from the request were not used: {'time_period'}."
    ]

    assert "it ignores a filter: The following filters" in failure(awards.run(YESTERDAY))


def test_a_new_group_of_awards_is_not_overlooked(awards):
    awards.fake.break_with(
        base.rewritten(lambda found: found["results"].update(leases=2, barters=0)), where="count"
    )

    assert "a group of awards is new: leases" in failure(awards.run(YESTERDAY))


def test_a_day_of_the_load_that_is_none_is_named(awards):
    awards.fake.break_with(base.rewritten(lambda said: said.update(last_updated="")))

    assert "`last_updated` is no day: ''" in failure(awards.run(YESTERDAY))


def test_a_refusal_is_told_in_its_own_words(awards):
    awards.fake.break_with(base.status(422, text='{"detail":"Sort value not found"}'), where=PAGES)

    assert "HTTP 422" in failure(awards.run(YESTERDAY))


def test_no_address_is_stored(awards):
    awards.run(YESTERDAY)

    assert "@" not in str(awards.rows(YESTERDAY))
