"""Who may import whom, and what each process must never load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"dagster", "pandas", "sklearn", "statsmodels", "boto3"}


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def modules(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, folder
    return found


def roots(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("path", modules("lake_assets"), ids=str)
def test_dagster_stays_in_its_folder(path):
    allowed = (ROOT / "lake_assets/orchestration", ROOT / "lake_assets/definitions.py")
    if not any(path.is_relative_to(place) for place in allowed):
        assert not {name for name in roots(imports_of(path)) if name.startswith("dagster")}


@pytest.mark.parametrize(
    "path", modules("lake_assets/catalog") + modules("lake_assets/datasets"), ids=str
)
def test_what_a_dataset_is_needs_the_standard_library_only(path):
    foreign = roots(imports_of(path)) - set(sys.stdlib_module_names) - {"lake_assets"}
    assert not foreign
    ours = {name for name in imports_of(path) if name.startswith("lake_assets")}
    assert all(name.startswith(("lake_assets.catalog", "lake_assets.datasets")) for name in ours)


@pytest.mark.parametrize("path", modules("lake_api"), ids=str)
def test_the_read_side_shares_only_the_catalogue(path):
    names = imports_of(path)
    assert not {name for name in roots(names) if name.startswith("dagster")}
    shared = {name for name in names if name.startswith("lake_assets")}
    if path.is_relative_to(ROOT / "lake_api/cli"):
        # Settings of the sources are data without any client; a test below holds that.
        for_the_command_line = ("lake_assets.sample_data", "lake_assets.sources.config")
        shared = {name for name in shared if not name.startswith(for_the_command_line)}
    assert all(name.startswith("lake_assets.catalog") for name in shared), shared


def test_only_the_worker_touches_the_engine():
    users = {
        path.relative_to(ROOT / "lake_api").as_posix()
        for path in modules("lake_api")
        if "duckdb" in roots(imports_of(path))
    }
    assert users
    assert all(user.startswith("query/worker") for user in users), users


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("lake_assets.catalog, lake_assets.datasets", HEAVY | {"pyarrow", "duckdb", "sqlglot"}),
        ("lake_assets.sources.config", HEAVY | {"pyarrow", "httpx", "msgspec"}),
        ("lake_api.app", HEAVY | {"duckdb"}),
        (
            "lake_assets.definitions",
            {"pandas", "sklearn", "boto3", "litestar", "statsforecast", "scipy"},
        ),
        (
            "lake_assets.models.request_volume, lake_assets.models.token_cost, "
            "lake_assets.models.anomalies",
            HEAVY | {"statsforecast", "scipy", "duckdb"},
        ),
    ],
)
def test_a_process_never_loads_what_it_does_not_need(module, never):
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True
    )
    assert not roots(set(loaded.stdout.split())) & never
