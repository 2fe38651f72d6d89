"""Verdicts on written days, beside a history, and the object that keeps them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from msgspec.structs import replace as replace_fields

from lake_assets.catalog import (
    Catalog,
    CatalogError,
    Dataset,
    Reference,
    checks_key,
    event,
    snapshot,
)
from lake_assets.orchestration.build import build_defs
from lake_assets.orchestration.judge import checks_of, judge
from lake_assets.orchestration.rows import DailyRows, written_days
from lake_assets.storage.day_facts import (
    KEPT_DAYS,
    DayFacts,
    change_facts,
    good_days,
    merge_facts,
    read_facts,
)
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter, WrittenPartition

DAY = date(2026, 11, 20)
COLUMNS = """
    id          int64!      One id.
    status      string      State. {on|off}
    place       string      Place.
    created_at  timestamp!
"""


def dataset(make: Callable[..., Dataset] = event, **more: str) -> Dataset:
    return make(
        "plays",
        "Plays.",
        group="Music",
        table="plays",
        tasks="lake.export_plays",
        columns=COLUMNS,
        key="id",
        watermark="created_at",
        expect_rows=True,
        **more,
    )


@pytest.fixture
def store(bucket) -> LakeStore:
    return LakeStore(bucket)


def write(store: LakeStore, rows: list[dict], of: Dataset | None = None) -> WrittenPartition:
    of = of or dataset()
    batch = pa.RecordBatch.from_pylist(rows, schema=arrow_schema(of))
    writer = PartitionWriter(store, run_id="test", code_version="test", allow_shrink=True)
    return writer.write(of, DAY, [batch])


def rows(count: int, *, places: int = 10**9, **every) -> list[dict]:
    """Good rows; the first `places` have a place."""
    good = {"status": "on", "created_at": datetime(2026, 11, 20, 12, tzinfo=UTC)}
    return [
        {"id": index, "place": "here" if index < places else None, **good, **every}
        for index in range(count)
    ]


def past(step_d: int, *counts: int, nulls: int = 0) -> dict[date, DayFacts]:
    return {
        DAY - timedelta(days=step_d * back): DayFacts(
            etag="e", rows=count, nulls={"place": nulls} if nulls else {}
        )
        for back, count in enumerate(counts, start=1)
    }


@pytest.mark.parametrize(
    ("bad_rows", "check", "reason"),
    [
        ([], "not_empty", "no rows"),
        (rows(2, id=7), "unique_key", "1 rows repeat a key"),
        (
            rows(1, created_at=datetime(2026, 11, 21, tzinfo=UTC)),
            "watermark_in_day",
            "watermarks from 2026-11-21 to 2026-11-21",
        ),
    ],
)
def test_a_day_that_breaks_its_declaration_is_no_input(store, bad_rows, check, reason):
    facts = judge(write(store, bad_rows), history={}, store=store)
    assert facts.failed == {check: reason}
    assert facts.blocks


def test_values_outside_of_a_list_warn_and_are_not_repeated(store):
    mixed = [*rows(3), *({**row, "id": row["id"] + 10} for row in rows(2, status="secret!"))]
    facts = judge(write(store, mixed), history={}, store=store)
    assert facts.failed == {"accepted_values": "`status` has 2 values outside of its list"}
    assert not facts.blocks


def test_null_is_no_value_outside_of_a_list(store):
    assert judge(write(store, rows(5, status=None)), history={}, store=store).failed == {}


@pytest.mark.parametrize(
    ("count", "is_odd"), [(100, False), (60, False), (140, False), (20, True), (400, True)]
)
def test_a_row_count_is_compared_with_the_same_weekday(store, count, is_odd):
    history = past(7, 100, 104, 96, 5_000, 99) | {
        DAY - timedelta(days=back): DayFacts(etag="e", rows=count) for back in range(1, 7)
    }
    facts = judge(write(store, rows(count)), history=history, store=store)
    assert ("row_count" in facts.failed) is is_odd
    assert not facts.blocks


def test_few_days_of_the_past_say_nothing(store):
    facts = judge(write(store, rows(1)), history=past(7, 100, 100, 100), store=store)
    assert facts.failed == {}


def test_the_future_is_not_compared_with(store):
    later = {DAY + timedelta(days=7 * ahead): DayFacts(etag="e", rows=900) for ahead in range(1, 9)}
    assert judge(write(store, rows(10)), history=later, store=store).failed == {}


def test_a_snapshot_is_compared_with_the_days_before(store):
    of = dataset(snapshot)
    facts = judge(write(store, rows(10), of), history=past(1, 200, 200, 200, 200), store=store)
    assert list(facts.failed) == ["row_count"]


@pytest.mark.parametrize(("places", "is_odd"), [(100, False), (85, False), (60, True), (0, True)])
def test_a_column_that_is_null_more_often_than_before_warns(store, places, is_odd):
    history = past(1, 100, 100, 100, 100, nulls=2)
    facts = judge(write(store, rows(100, places=places)), history=history, store=store)
    assert ("null_rate" in facts.failed) is is_odd
    assert not facts.blocks


def test_fewer_nulls_than_before_are_no_fault(store):
    history = past(1, 100, 100, 100, 100, nulls=90)
    assert judge(write(store, rows(100)), history=history, store=store).failed == {}


def failing(count: int, *, of: int = 1_000) -> list[dict]:
    """Rows of which `count` tell of a failure."""
    return [row | {"status": "off"} if row["id"] < count else row for row in rows(of)]


def past_failures(*counts: int | None, of: int = 1_000) -> dict[date, DayFacts]:
    return {
        DAY - timedelta(days=back): DayFacts(etag="e", rows=of, failures=count)
        for back, count in enumerate(counts, start=1)
    }


@pytest.mark.parametrize(
    ("count", "is_odd"), [(0, False), (40, False), (85, False), (130, True), (600, True)]
)
def test_a_day_with_more_failures_than_the_days_before_warns(store, count, is_odd):
    of = dataset(failures="status=off")
    history = past_failures(40, 35, 900, 45, 38, 41)
    facts = judge(write(store, failing(count), of), history=history, store=store)
    assert facts.failures == count
    assert ("failure_rate" in facts.failed) is is_odd
    assert not facts.blocks


def test_what_is_said_of_failures_names_both_shares(store):
    of = dataset(failures="status=off")
    facts = judge(write(store, failing(600), of), history=past_failures(*[40] * 6), store=store)
    assert facts.failed == {
        "failure_rate": "60% of rows tell of a failure, where 4% are usual",
    }


@pytest.mark.parametrize(
    "history",
    [
        past_failures(40, 40, 40),
        past_failures(40, 40, 40, None, None, None),
        past_failures(*[2] * 8, of=40),
    ],
    ids=["few days", "days before failures were counted", "days of few rows"],
)
def test_too_little_of_the_past_says_nothing_of_failures(store, history):
    of = dataset(failures="status=off")
    assert judge(write(store, failing(900), of), history=history, store=store).failed == {}


def test_few_rows_fail_by_chance(store):
    of = dataset(failures="status=off")
    history = past_failures(*[2] * 8, of=60)
    few, many = (
        judge(write(store, failing(count, of=60), of), history=history, store=store)
        for count in (8, 30)
    )
    assert few.failed == {}
    assert list(many.failed) == ["failure_rate"]


def test_a_flag_tells_of_failures_too(store):
    of = event(
        "plays",
        "Plays.",
        group="Music",
        table="plays",
        tasks="lake.export_plays",
        columns="id int64! One id.\nwell bool How.\ncreated_at timestamp!",
        failures="well=false",
    )
    moment = datetime(2026, 11, 20, 12, tzinfo=UTC)
    mixed = [{"id": n, "well": (True, False, None)[n % 3], "created_at": moment} for n in range(9)]
    assert judge(write(store, mixed, of), history={}, store=store).failures == 3


def test_failures_are_only_counted_where_they_are_declared(store):
    assert judge(write(store, rows(3)), history={}, store=store).failures is None


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ("nothing=off", "`nothing` of its failures is no column"),
        ("status=broken", "its failures name values that `status` does not list"),
        ("place=here", "its failures name values that `place` does not list"),
        ("status=", "its failures name values that `status` does not list"),
    ],
)
def test_failures_that_no_row_can_tell_of_are_refused(declared, why):
    with pytest.raises(CatalogError, match=why):
        dataset(failures=declared)


@pytest.fixture
def listeners() -> Dataset:
    return snapshot(
        "listeners",
        "Listeners.",
        group="Music",
        table="listeners",
        tasks="lake.export_listeners",
        columns="id int64! One id.\nfriend_id int64 A friend.\nupdated_at timestamp!",
        references="friend_id=plays.id",
    )


def test_values_that_the_other_dataset_lacks_warn(store, listeners):
    moment = datetime(2026, 11, 20, 12, tzinfo=UTC)
    friends = [{"id": n, "friend_id": n or None, "updated_at": moment} for n in range(6)]
    before = judge(write(store, friends, listeners), history={}, store=store)
    assert before.failed == {}, "there is nothing to compare with yet"

    write(store, rows(4))
    facts = judge(write(store, friends, listeners), history={}, store=store)
    # The other dataset is not named: whoever reads the warning may not know of it.
    told = "2 values of `friend_id` are not in the dataset that it refers to"
    assert facts.failed == {"references": told}
    assert not facts.blocks
    assert judge(write(store, [], listeners), history={}, store=store).failed == {}


@pytest.mark.parametrize("target", ["nowhere.id", "plays.nothing"])
def test_a_reference_that_leads_nowhere_is_refused(listeners, target):
    to, _, column = target.partition(".")
    broken = replace(
        listeners, references=(Reference(column="friend_id", partition=to, to_column=column),)
    )
    with pytest.raises(CatalogError, match=f"refers to `{target}`, which is not declared"):
        Catalog([dataset(), broken])


def test_what_others_refer_to_is_written_before_them(listeners):
    defs = build_defs(catalog=Catalog([listeners, dataset(snapshot)]), env={})
    job = defs.resolve_implicit_global_asset_job_def()
    tags = {node.name: node.tags.get("dagster/priority") for node in job.nodes}
    assert tags == {"listeners": None, "plays": "1"}


def test_facts_of_other_days_stay_and_the_oldest_go(store):
    of = dataset()
    merge_facts(store, of, {DAY: DayFacts(etag="a", rows=1), DAY.replace(day=1): DayFacts("b", 2)})
    merge_facts(store, of, {DAY: DayFacts(etag="c", rows=3, failed={"x": "y"}, blocks=True)})
    assert read_facts(store, of) == {
        DAY: DayFacts(etag="c", rows=3, failed={"x": "y"}, blocks=True),
        DAY.replace(day=1): DayFacts("b", 2),
    }
    many = {DAY + timedelta(days=ahead): DayFacts("d", 1) for ahead in range(1, KEPT_DAYS + 1)}
    merge_facts(store, of, many)
    assert sorted(read_facts(store, of)) == sorted(many)


def written_by_a_run(store: LakeStore, by_day: dict[date, list[dict]]):
    """The days of one run, written one by one as they are asked for."""

    def read(day: date):
        yield pa.RecordBatch.from_pylist(by_day[day], schema=arrow_schema(dataset()))

    daily = DailyRows(dataset=dataset(), days=list(by_day), read=read, source="test")
    return written_days(daily, store, run_id="test", code_version="test", tags={})


def test_a_long_run_leaves_the_verdict_of_a_run_that_wrote_its_day_meanwhile(store):
    next_day = DAY + timedelta(days=1)
    later = {"created_at": datetime(2026, 11, 21, 12, tzinfo=UTC)}
    long = written_by_a_run(store, {DAY: rows(3), next_day: rows(3, **later)})
    next(long)

    list(written_by_a_run(store, {DAY: rows(3) + rows(1)}))
    verdict = read_facts(store, dataset())[DAY]
    list(long)

    assert verdict.blocks
    assert read_facts(store, dataset())[DAY] == verdict
    assert good_days(store, dataset()) == {next_day}


def test_facts_are_changed_only_while_they_are_those_that_were_read(store):
    of, first, other = dataset(), DayFacts(etag="a", rows=1), DayFacts(etag="b", rows=2)
    second = DAY + timedelta(days=1)
    merge_facts(store, of, {DAY: first, second: first})
    merge_facts(store, of, {DAY: other})
    marked = replace_fields(first, failed={"late_rows": "two"})
    assert change_facts(store, of, {DAY: (first, marked), second: (first, marked)}) == [second]
    assert read_facts(store, of) == {DAY: other, second: marked}


def test_an_object_of_someone_else_is_no_history(store):
    store.put_whole(checks_key(dataset()), b"<html>")
    assert read_facts(store, dataset()) == {}


def test_checks_follow_from_the_declaration():
    assert [check.name for check in checks_of(dataset())] == [
        "schema", "not_empty", "watermark_in_day", "unique_key",
        "accepted_values", "null_rate", "row_count",
        "unfit_values", "rows_without_day", "late_rows",
    ]  # fmt: skip
    watched = {check.name for check in checks_of(dataset(failures="status=off"))}
    assert watched - {check.name for check in checks_of(dataset())} == {"failure_rate"}
