"""A day's object is made of what the source says, the moment and the id of the run, and no more.

With these the same, it is the same to the byte: after a run that failed midway, within a range or
alone. `collected_at` is the moment, and the footer has the id of the run. Faults that pass within a
run are met in the tests of each source.
"""

from datetime import datetime, time, timedelta

import pytest

from lake_assets.catalog import data_key, load_catalog
from lake_assets.orchestration import rows
from lake_assets.sources.collect import collector_of
from lake_assets.storage.writer import PartitionWriter
from tests.fakes.__main__ import FAKES
from tests.fakes.email_events import FakePostmark, FakeResend
from tests.sources.conftest import TODAY, failure
from tests.sources.faults import LASTING
from tests.sources.test_collection import collected

BY_SOURCE = {kind.name: kind for kind in FAKES} | {"email": FakePostmark}
EVERY = [(each.partition, BY_SOURCE[collector_of(each).upstream.name]) for each in collected()]


@pytest.fixture(
    params=[*EVERY, ("external/email", FakeResend)],
    ids=lambda one: f"{one[0]}-{one[1].__name__}",
)
def lake(request, collecting, monkeypatch):
    """Its runs write one and the same id, whichever they have."""
    monkeypatch.setattr(rows, "PartitionWriter", with_one_id)
    partition, fake = request.param
    lake = collecting(partition, fake())
    lake.now = datetime.combine(TODAY, time(23, 30), tzinfo=lake.now.tzinfo)
    return lake


def with_one_id(store, *, run_id, **facts):
    assert run_id
    return PartitionWriter(store, run_id="the id of the run", **facts)


def days_of(lake):
    """Two days that the source has; one where it shows nothing but the present."""
    dataset = load_catalog()[lake.partition]
    newest = dataset.schedule.days(TODAY)[-1]
    if newest.weekday() >= 5 and "sec" in lake.partition:
        newest -= timedelta(days=newest.weekday() - 4)
    is_present = collector_of(dataset).reach_d == 0
    return newest - timedelta(days=0 if is_present else 1), newest


def stored(lake):
    """Every object, to the byte."""
    found = {}
    for day in lake.days:
        with lake.store.open(data_key(load_catalog()[lake.partition], day)) as file:
            found[day] = file.read()
    return found


def test_a_day_is_the_same_to_the_byte_whatever_happened_on_the_way(lake):
    first, last = days_of(lake)
    assert lake.run(first, last).success
    untroubled, asked = stored(lake), len(lake.fake.requests)
    assert set(untroubled) == {first, last}
    assert any(lake.rows(day) for day in untroubled)

    # Alone, it is as in the range.
    assert lake.run(last).success
    assert stored(lake) == untroubled

    # A run that fails over a stored day changes nothing.
    spoil, words = LASTING
    down = lake.fake.break_with(spoil, times=9_999, skip=asked // 2)
    again = lake.run(first, last, **{"lake/refetch": "true"})
    assert words in failure(again)
    assert stored(lake) == untroubled

    # One that fails in an empty lake leaves whole days or none, and the next one the rest.
    lake.forget()
    down.skip = asked // 2
    assert words in failure(lake.run(first, last))
    assert stored(lake).items() <= untroubled.items()
    down.times = 0
    assert lake.run(first, last).success
    assert stored(lake) == untroubled


def test_another_run_differs_in_the_footer_only(collecting):
    lake = collecting("stripe_events", BY_SOURCE["stripe"]())
    day = TODAY - timedelta(days=1)
    lake.run(day)
    before = stored(lake)[day]

    again = lake.run(day)

    after = stored(lake)[day]
    footer_bytes = int.from_bytes(before[-8:-4], "little")
    assert before[: -8 - footer_bytes] == after[: -8 - footer_bytes]
    assert before != after
    assert again.run_id.encode() in after[-8 - footer_bytes :]
