"""What every collection does, shown on a dataset of its own."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from lake_assets.catalog import (
    ColumnType,
    Dataset,
    ExternalSource,
    Schedule,
    external,
    load_catalog,
)
from lake_assets.sources import config
from lake_assets.sources.collect import Ask, Collector, collector_of
from lake_assets.sources.collection import Collection
from lake_assets.sources.config import SourceSetting, Upstream
from lake_assets.sources.errors import NotConfigured, NotPublishedYet, SourceMismatch
from lake_assets.sources.http import HttpPolicy, HttpSource
from lake_assets.sources.revisions import row_hash
from lake_assets.storage.reader import read_day
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter

TODAY = date(2026, 11, 23)
DAYS = [TODAY - timedelta(days=back) for back in (2, 1, 0)]


def dataset(columns: str = "", key: str = "name"):
    return external(
        "music/charts",
        "Charts.",
        group="Music",
        upstream="charts",
        tasks="lake.collect_charts",
        watermark="collected_at",
        schedule=Schedule(cron="0 1 * * *"),
        key=key,
        columns=f"""
            name string! Name.
            plays int64 Plays.
            {columns}
            collected_at timestamp! When.
        """,
    )


SLOW = dataset("row_hash string! Hash.\nnote string Bookkeeping.")


NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def collected() -> list[Dataset]:
    return [
        dataset
        for dataset in load_catalog()
        if isinstance(dataset.source, ExternalSource) and dataset.source.collect
    ]


@pytest.fixture
def collection(bucket) -> Callable[..., Collection]:
    def make(
        collect, *, of=None, days=(TODAY,), now=NOON, keep_stored=False, replace=False, **facts
    ) -> Collection:
        return Collection(
            dataset=of or dataset(),
            collector=Collector(upstream=config.FRED, collect=collect, **facts),
            settings={},
            http=HttpSource(
                policy=HttpPolicy(), transport=httpx.MockTransport(lambda _: httpx.Response(500))
            ),
            store=LakeStore(bucket),
            days=list(days),
            now=now,
            warn=warnings.append,
            keep_stored=keep_stored,
            replace=replace,
        )

    warnings: list[str] = []
    make.warnings = warnings
    return make


def write(collection: Collection) -> dict[date, list[dict]]:
    """What a run would write, written."""
    writer = PartitionWriter(collection.store, run_id="r", code_version="c", allow_shrink=True)
    written: dict[date, list[dict]] = {}
    for day in collection.published(collection.wanted()):
        batches = list(collection.read(day))
        writer.write(collection.dataset, day, batches)
        written[day] = [row for batch in batches for row in batch.to_pylist()]
    return written


def plays(*rows: tuple[str, int]):
    return lambda _ask: iter([{"name": name, "plays": count} for name, count in rows])


def test_a_row_that_comes_again_otherwise_is_told(collection):
    made = collection(plays(("a", 1), ("b", 1), ("a", 2), ("a", 1)))

    assert [row["plays"] for row in write(made)[TODAY]] == [1, 1]

    assert made.notes[TODAY] == {"conflicting_rows": 1, "repeated_rows": 1}
    assert collection.warnings == ["1 rows came again with other values; the first was kept"]


def test_rows_without_a_key_are_all_kept(collection):
    made = collection(plays(("a", 1), ("a", 1)), of=dataset(key=""))

    assert len(write(made)[TODAY]) == 2


def test_many_rows_come_in_several_batches_and_none_is_lost(collection):
    made = collection(plays(*((f"n{i}", i) for i in range(12_001))))

    (rows,) = write(made).values()

    assert [row["plays"] for row in rows] == list(range(12_001))


def test_a_value_that_goes_back_is_news_again(collection):
    seen: dict[date, list[int]] = {}
    for day, count in zip(DAYS, (1, 2, 1), strict=True):
        made = collection(plays(("a", count), ("b", 5)), of=SLOW, days=[day])
        seen[day] = [row["plays"] for row in write(made)[day]]

    assert list(seen.values()) == [[1, 5], [2], [1]]


def test_bookkeeping_alone_is_no_revision(collection):
    def collect(ask: Ask):
        yield {"name": "a", "plays": 1, "note": f"read on {ask.day}"}

    made = collection(collect, of=SLOW, days=DAYS, bookkeeping=("note",))

    assert [len(rows) for rows in write(made).values()] == [1, 0, 0]


def test_days_of_one_run_know_of_each_other_and_a_second_run_is_the_same(collection):
    def collect(ask: Ask):
        yield {"name": "a", "plays": 1}
        yield {"name": f"{ask.day}", "plays": 2}

    first = write(collection(collect, of=SLOW, days=DAYS))
    second = write(collection(collect, of=SLOW, days=DAYS))

    assert [len(rows) for rows in first.values()] == [2, 1, 1]
    assert second == first


def test_the_hash_stays_when_a_nullable_column_is_added():
    row = {"name": "a", "plays": 1, "day": TODAY}

    assert row_hash(row | {"added": None, "collected_at": TODAY}) == row_hash(row)
    assert row_hash(row | {"plays": 2}) != row_hash(row)
    assert row_hash({"a": "1"}) != row_hash({"a": 1})


def test_days_that_are_there_are_kept_where_that_is_wanted(collection):
    write(collection(plays(("a", 1)), days=DAYS[:2]))

    made = collection(plays(("a", 2)), days=DAYS, keep_stored=True)

    assert list(write(made)) == [TODAY]
    assert made.notes[DAYS[0]] == {"reason": "the lake has this day already; it was kept as it is"}


NUMBERED = dataset("whole bool Whether it was counted to the end.")


def counted(*rows: tuple[str, int, bool]):
    return lambda _ask: iter([{"name": n, "plays": p, "whole": w} for n, p, w in rows])


def stored(of, bucket) -> list[tuple]:
    table = read_day(LakeStore(bucket), of, TODAY)
    return [(row["name"], row["plays"], row["collected_at"].hour) for row in table.to_pylist()]


def test_a_source_that_fades_makes_no_stored_day_thinner(collection, bucket):
    write(collection(plays(("a", 1), ("b", 1), ("c", 1)), fades=True))

    later = collection(plays(("c", 2), ("d", 1)), fades=True, now=NOON + timedelta(hours=1))
    write(later)

    assert later.notes[TODAY] == {"kept_rows": 2}
    assert stored(dataset(), bucket) == [("c", 2, 13), ("d", 1, 13), ("a", 1, 12), ("b", 1, 12)]

    # Once more with the same answer: to the row what it was.
    write(collection(plays(("c", 2), ("d", 1)), fades=True, now=NOON + timedelta(hours=1)))
    assert stored(dataset(), bucket) == [("c", 2, 13), ("d", 1, 13), ("a", 1, 12), ("b", 1, 12)]


def test_a_source_that_shows_nothing_any_more_empties_no_stored_day(collection, bucket):
    write(collection(plays(("a", 1)), fades=True))

    later = collection(plays(), fades=True)
    write(later)

    assert later.notes[TODAY] == {"kept_rows": 1}
    assert stored(dataset(), bucket) == [("a", 1, 12)]


def test_a_source_that_does_not_fade_and_a_run_that_replaces_start_the_day_anew(collection, bucket):
    for how in ({}, {"fades": True, "replace": True}):
        write(collection(plays(("a", 1), ("b", 1))))
        write(collection(plays(("c", 1)), **how))
        assert stored(dataset(), bucket) == [("c", 1, 12)]


def test_a_row_that_was_read_in_part_takes_the_place_of_none_that_shows_more(collection, bucket):
    made = {"of": NUMBERED, "fades": True, "whole": "whole"}
    first = ("a", 9, True), ("b", 9, True), ("c", 1, False), ("d", 300, False), ("e", 5, False)
    write(collection(counted(*first), **made))

    later = ("a", 2, False), ("b", 8, True), ("c", 2, False), ("d", 0, False), ("e", 4, True)
    again = collection(counted(*later), **made)
    write(again)

    rows = {name: plays for name, plays, _ in stored(NUMBERED, bucket)}
    assert rows == {"a": 9, "b": 8, "c": 2, "d": 300, "e": 4}
    assert again.notes[TODAY] == {"kept_rows": 2}


def test_a_row_without_a_column_that_is_required_now_is_not_kept_and_says_what_to_do(
    collection, bucket
):
    write(collection(plays(("a", 1), ("b", 1)), fades=True))
    zoned = dataset("zone string! Zone.")

    def zones(*names: str):
        return lambda _ask: iter([{"name": name, "zone": "UTC"} for name in names])

    says = f"{TODAY} can't be joined.*`zone` is required, and stored.*lake/replace=true.*lost"
    with pytest.raises(SourceMismatch, match=says):
        write(collection(zones("a"), of=zoned, fades=True))
    assert len(stored(dataset(), bucket)) == 2

    write(collection(zones("a"), of=zoned, fades=True, replace=True))
    assert len(stored(zoned, bucket)) == 1


def test_what_fades_has_a_key_and_is_no_slow_source():
    fading = [each for each in collected() if collector_of(each).fades]
    assert len(fading) >= 8
    for each in fading:
        assert each.key, each.partition
        assert "row_hash" not in each.column_names
        whole = collector_of(each).whole
        assert not whole or each.column(whole).type is ColumnType.BOOL


def test_unpublished_days_are_left_out_and_say_why(collection):
    def collect(ask: Ask):
        if ask.day == TODAY:
            raise NotPublishedYet("comes at noon")
        yield {"name": "a"}

    made = collection(collect, days=DAYS)

    assert list(write(made)) == DAYS[:2]
    assert made.notes[TODAY] == {"rows": 0, "reason": "not published yet: comes at noon"}
    assert made.store.days(made.dataset) == DAYS[:2]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"name": "a", "plays": TODAY}, "column `plays` is declared int64 and came as date"),
        ({"name": TODAY}, "column `name` is declared string and came as date"),
        (
            {"name": "a", "collected_at": datetime(2026, 11, 23)},  # noqa: DTZ001 - that is wrong
            "column `collected_at` is declared .* and came as datetime without a zone",
        ),
        ({"name": "a", "typo": 1}, "the collector made `typo`, undeclared"),
    ],
)
def test_a_collector_that_makes_wrong_rows_is_told_which(collection, row, says):
    with pytest.raises(SourceMismatch, match=says):
        write(collection(lambda _ask: iter([row])))


def test_one_odd_value_loses_no_row_and_is_counted(collection):
    odd = dataset("""
        share float64 A float.
        price decimal A decimal.
        is_live bool A flag.
        seen_at timestamp A time.
        made_on date A day.
        note string A text.
        kind string A kind. {song|album}
        extra json An object.
    """)
    noon, big = "2026-11-23T12:00:00Z", 2**63
    rows = [
        # The same in another spelling.
        {"name": "same", "plays": " 7 ", "share": 1, "price": "1.50", "is_live": "True"}
        | {"seen_at": noon, "made_on": "2026-11-23", "note": "x", "kind": "song", "extra": "{}"},
        {"name": "exact", "plays": Decimal("9007199254740993"), "share": "0.5", "price": 2},
        # Something else.
        {"name": 7, "plays": "many", "share": "NaN", "price": "1e13", "is_live": 2}
        | {"seen_at": "2026-11-23T12:00:00", "made_on": "soon", "note": {"mail": "ann@example.com"}}
        | {"kind": "film", "extra": [Decimal("0.12345678901234567890")]},
        {"name": "b", "plays": 1.5, "price": Decimal("0.0000001"), "note": True, "seen_at": big},
        {"name": "c", "plays": big, "price": Decimal("NaN"), "is_live": [], "share": "1e999"},
        {"name": "d", "plays": True, "note": 12345678901234567890},
    ]

    made = collection(lambda _ask: iter(rows), of=odd)
    stored = {row["name"]: row for row in write(made)[TODAY]}

    assert stored["same"] == {
        "name": "same",
        "plays": 7,
        "share": 1.0,
        "price": Decimal("1.5"),
        "is_live": True,
        "seen_at": NOON,
        "made_on": TODAY,
        "note": "x",
        "kind": "song",
        "extra": "{}",
        "collected_at": NOON,
    }
    assert stored["exact"]["plays"] == 9_007_199_254_740_993
    assert (stored["exact"]["share"], stored["exact"]["price"]) == (0.5, 2)
    told = {name: value for name, value in stored["7"].items() if value is not None}
    assert told == {
        "name": "7",
        "note": '{"mail":"[address]"}',
        "kind": "film",
        "extra": "[0.12345678901234567890]",
        "collected_at": NOON,
    }
    nulls = ("plays", "price", "seen_at", "is_live", "share")
    assert all(stored[name][each] is None for name in "bc" for each in nulls)
    assert (stored["b"]["note"], stored["d"]["note"]) == ("true", "12345678901234567890")
    assert stored["d"]["plays"] is None
    assert made.notes[TODAY]["odd_values"] == 20
    (warned,) = collection.warnings
    assert "`plays`: 4 values of another type, stored as null" in warned
    assert "`note`: 3 values of another type, stored as text" in warned
    assert "`kind`: 1 value that the column does not list, stored as they came" in warned
    assert "ann@" not in warned


def test_an_odd_value_that_can_not_be_left_out_fails_the_day(collection):
    required = dataset("place int64! A place.")
    keyed = dataset(key="name plays")

    for of, row in ((required, {"place": "first"}), (keyed, {"plays": "many"})):
        with pytest.raises(SourceMismatch, match="is declared int64 and came as str"):
            write(collection(lambda _ask, row=row: iter([{"name": "a"} | row]), of=of))


def test_every_declared_collector_is_there_and_has_its_settings():
    declared = collected()
    assert declared
    for each in declared:
        found = collector_of(each)
        assert found.upstream in config.UPSTREAMS
        assert (found.reach_d is None) == (not found.gone), each.partition
        assert each.source.pool, each.partition
        assert set(found.bookkeeping) <= set(each.column_names)


def test_a_declaration_without_a_collector_is_told():
    with pytest.raises(SourceMismatch, match="music/charts: `collect` names no collector"):
        collector_of(dataset())


def test_settings_have_sentences_and_one_pace_and_secrets_are_marked():
    names = [s.name for upstream in (*config.UPSTREAMS, config.HTTP) for s in upstream.settings]
    assert len(names) == len(set(names))
    for upstream in config.UPSTREAMS:
        assert upstream.requests_per_s({s.name: s.default for s in upstream.settings}) > 0
        assert any(s.name.endswith("_BASE_URL") for s in upstream.settings)
        for setting in upstream.settings:
            assert setting.sentence.endswith("."), setting.name
            secret = setting.name.endswith(("_KEY", "_TOKEN", "_SECRET"))
            assert setting.secret == secret, setting.name


def test_a_pace_that_is_no_number_is_not_configured():
    upstream = Upstream(
        name="x",
        title="X",
        settings=(SourceSetting(name="X_REQUESTS_PER_S", sentence="Pace.", default="1"),),
    )
    for wrong in ("fast", "0", "-1", "inf", "nan"):
        with pytest.raises(NotConfigured, match="X: X_REQUESTS_PER_S must be a number above 0"):
            upstream.requests_per_s(upstream.values({"X_REQUESTS_PER_S": wrong}))
