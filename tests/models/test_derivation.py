from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from lake_assets.catalog import CatalogError, Kind, LakeSource, load_catalog
from lake_assets.models.derivation import Derivation, Window, derivation_of

CATALOG = load_catalog()
SCORES = CATALOG["derived/intelligence_scores"]
DERIVED = [dataset for dataset in CATALOG if dataset.kind is Kind.DERIVED]


def nothing(_inputs: object, /, *, day: date) -> Iterator[dict[str, object]]:
    yield from ({"day": day} for _ in ())


@pytest.mark.parametrize("dataset", DERIVED, ids=lambda dataset: dataset.sql_name)
def test_every_window_reads_columns_that_its_upstream_has(dataset):
    derivation = derivation_of(dataset)
    assert set(derivation.windows) == set(dataset.upstreams)
    for upstream, window in derivation.windows.items():
        assert set(window.columns) <= set(CATALOG[upstream].column_names), upstream


def test_a_window_in_days():
    window = Window(days=3, columns=(), lag_d=1)
    assert [day.day for day in window.of(date(2026, 11, 22))] == [19, 20, 21]
    assert window.last(date(2026, 11, 1)) == date(2026, 10, 31)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"sql": "SELECT 1", "derive": nothing},
        {"sql": "SELECT 1", "windows": {"plays": Window(days=0, columns=())}},
        {"sql": "SELECT 1", "windows": {"plays": Window(days=1, columns=(), lag_d=-1)}},
    ],
    ids=["neither", "both", "no day", "the future"],
)
def test_a_derivation_that_can_not_stand_is_refused(wrong):
    with pytest.raises(CatalogError):
        Derivation(**{"version": "1", "windows": {}} | wrong)


@pytest.mark.parametrize(
    ("compute", "said"),
    [
        ("", "names no derivation"),
        ("lake_assets.models.scores:NOTHING", "names no derivation"),
        ("lake_assets.models.scores:FLEET_D", "names no derivation"),
        ("lake_assets.models.velocity:DERIVATION", "it is declared to read agent_run_log"),
    ],
)
def test_a_declaration_that_names_no_derivation_of_its_own_is_refused(compute, said):
    source = LakeSource(upstreams=SCORES.upstreams, compute=compute)
    with pytest.raises(CatalogError, match=said):
        derivation_of(replace(SCORES, source=source))
