"""One value of another type, in every source that has such: no row is lost, and it is counted."""

from dataclasses import replace
from datetime import timedelta

import pytest

from lake_assets.catalog import load_catalog
from lake_assets.sources.errors import FieldMismatch
from lake_assets.sources.fitting import Fitting
from lake_assets.storage.day_facts import read_facts
from tests.fakes import base
from tests.fakes.cdtfa import FakeCdtfa
from tests.fakes.census import FakeCensus
from tests.fakes.chatwoot import FakeChatwoot
from tests.fakes.dealroom import FakeDealroom
from tests.fakes.edd import FakeEdd
from tests.fakes.fred import FakeFred
from tests.fakes.irs import FakeIrs
from tests.fakes.luma import FakeLuma
from tests.fakes.slack import FakeSlack
from tests.fakes.usaspending import FakeUsaspending
from tests.sources.conftest import TODAY, failure, metadata
from tests.sources.test_collection import dataset

YESTERDAY = TODAY - timedelta(days=1)


def cell_of_the_county(column, value):
    """The cell of the county's first row in a CSV file becomes another."""

    def spoil(reply):
        lines = [line.split(",") for line in reply.body.decode("latin-1").splitlines()]
        row = next(line for line in lines if "Santa Clara County" in line)
        row[lines[0].index(column)] = value
        return replace(reply, body="\n".join(map(",".join, lines)).encode("latin-1"))

    return spoil


CASES = {
    "chatwoot": (
        *("chatwoot/conversations", FakeChatwoot, YESTERDAY, "conversations"),
        base.rewritten(
            lambda page: page["data"]["payload"][3].update(
                priority=3, inbox_id="x", unread_count="many", muted="no", waiting_since="soon"
            )
        ),
        {"priority": "3", "inbox_id": None, "muted": None, "waiting_since": None},
        5,
    ),
    "luma": (
        *("external/luma/events", FakeLuma, TODAY, "events/list"),
        base.rewritten(lambda page: page["entries"][0].update(name=5, end_at="late", url=[1])),
        {"name": "5", "end_at": None, "url": "[1]"},
        3,
    ),
    "dealroom": (
        *("external/dealroom/sessions", FakeDealroom, YESTERDAY, ""),
        base.rewritten(lambda page: page["sessions"][0].update(duration_s="long", country=1)),
        {"duration_s": None, "country": "1"},
        2,
    ),
    "usaspending": (
        *("external/scc/federal_awards", FakeUsaspending, YESTERDAY, "spending_by_award/"),
        base.rewritten(
            lambda page: page["results"][0].update(
                {"Award Amount": "much", "Start Date": "2026-13-01", "Recipient Name": 3}
            )
        ),
        {"award_amount": None, "start_date": None, "recipient_name": "3"},
        3,
    ),
    "edd": (
        *("external/scc/edd_labor", FakeEdd, TODAY, "offset"),
        base.rewritten(
            lambda page: page["result"]["records"][0].update(
                {"Unemployment": "n/a", "Employment": "993100.5"}
            )
        ),
        {"unemployment": None, "employment": None},
        2,
    ),
    "cdtfa sales": (
        *("external/scc/cdtfa_taxable_sales", FakeCdtfa, TODAY, "Counties"),
        base.rewritten(lambda page: page["value"][0].update(TaxableTransactions="n/a")),
        {"taxable_transactions_usd": None},
        1,
    ),
    "irs": (
        *("external/scc/irs_soi", FakeIrs, TODAY, "incyallagi"),
        cell_of_the_county("N1", "**"),
        {},
        1,
    ),
    "acs": (
        *("external/scc/demographics", FakeCensus, TODAY, "acs5?"),
        base.rewritten(lambda table: table[1].__setitem__(1, "many")),
        {},
        1,
    ),
    "fred": (
        *("external/scc/fred_indicators", FakeFred, TODAY, "observations"),
        base.rewritten(lambda page: page["observations"][0].update(value="n/a")),
        {"value": None},
        1,
    ),
    "slack": (
        *("external/slack", FakeSlack, YESTERDAY, "conversations.list"),
        base.rewritten(lambda page: page["channels"][0].update(name=7, num_members="x")),
        {"channel_name": "7", "num_members": None},
        2,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_odd_value_loses_no_row_and_is_counted(collecting, case):
    partition, fake, day, where, spoil, stored, odd = case
    lake = collecting(partition, fake())
    assert lake.run(day).success
    rows = len(lake.rows(day))
    lake.forget()
    lake.fake.break_with(spoil, where=where)

    result = lake.run(day)

    assert result.success, failure(result)
    assert len(lake.rows(day)) == rows
    assert metadata(result)[f"{day}"]["odd_values"] == odd
    # Values that became null fail a check, so that answers over the day warn of them as well.
    failed = read_facts(lake.store, load_catalog()[partition])[day].failed
    assert ("unfit_values" in failed) == (None in stored.values() or not stored)
    for column, value in stored.items():
        if value is None:
            assert f"`{column}`: 1 value of another type, stored as null" in failed["unfit_values"]
    for column, value in stored.items():
        assert value in [row[column] for row in lake.rows(day)]


def test_a_column_whose_values_are_all_of_another_type_fails_the_day():
    fitting = Fitting(dataset=dataset())
    for place in range(10):
        fitting.fit({"name": f"{place}", "plays": "many"})

    with pytest.raises(FieldMismatch, match="10 of 10 values are something else"):
        fitting.refuse_change()

    for place in range(10):
        fitting.fit({"name": f"{place}", "plays": place})
    fitting.refuse_change()
