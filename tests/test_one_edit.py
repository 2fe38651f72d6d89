"""Adding a dataset is one edit: made in a copy of the tree, with the commands of the README."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CHECKS = (
    "tests/catalog",
    "tests/datasets",
    "tests/test_docs.py",
    "tests/orchestration/test_definitions.py",
)
_NOT_COPIED = shutil.ignore_patterns(
    ".venv", ".git", ".lake", "__pycache__", ".hypothesis", "*_cache", "*.egg-info", "build"
)

EXAMPLES = {
    "business": '''
snapshot(
    "business/shop/shelves",
    "Shelves; one row per shelf.",
    group="Business App Exports",
    table="shop.shelves",
    tasks="lake.export_shelves",
    key="shelf_no",
    columns="""
        shelf_no    int64!      The number of the shelf.
        order       string      Where it stands.
        updated_at  timestamp!
    """,
)
''',
    "derived": '''
derived(
    "derived/other_velocity",
    "Velocity once more; one row per project.",
    group="Derived Metrics",
    upstreams="platform/sprint_plans platform/coding_sessions platform/project_executions",
    compute="lake_assets.models.velocity:DERIVATION",
    tasks="lake.measure_other_velocity",
    key="project_id",
    columns="""
        project_id    string!
        generated_at  timestamp!  When it was computed.
    """,
)
''',
    "external_economy": '''
external(
    "external/other_indicators",
    "Indicators once more; one row per series and month.",
    group="External Data",
    upstream="fred",
    collect="lake_assets.sources.fred:COLLECTOR",
    tasks="lake.collect_other_indicators",
    watermark="collected_at",
    schedule=Schedule(cron="0 5 * * *"),
    columns="""
        series_id     string!     The series.
        value         float64     What it was.
        collected_at  timestamp!  When it was read.
    """,
)
''',
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the README's dataset and one of each other kind declared."""
    copy = tmp_path_factory.mktemp("checkout").resolve() / "lake"
    shutil.copytree(ROOT, copy, ignore=_NOT_COPIED)
    section = README[README.index("### Adding a dataset") :]
    [module, *_] = re.findall(r"`lake_assets/datasets/(\w+)\.py`", section)
    [example, *_] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    for name, row in ({module: example} | EXAMPLES).items():
        path = copy / f"lake_assets/datasets/{name}.py"
        text, places = re.subn(
            r"^(DATASETS[^=]*= \(\n)", rf"\g<1>{row.strip()},\n", path.read_text(), flags=re.M
        )
        assert places == 1, name
        path.write_text(text)
    return copy


def install(tree: Path) -> Path:
    """What `make up` leaves behind, from what is installed here; the copy's own code is first."""
    real, venv = Path(sys.prefix), tree / ".venv"
    packages = venv / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    packages.mkdir(parents=True)
    (packages / "copy.pth").write_text(f"{tree}\n{sysconfig.get_path('purelib')}\n")
    (venv / "bin").symlink_to(real / "bin")
    shutil.copy2(real / "pyvenv.cfg", venv)
    (venv / ".checkout").write_text(f"{tree}\n")
    for name in (".installed", ".installed-for-development"):
        (venv / name).touch()
    return venv / "bin" / "python"


def run(tree: Path, *command: str) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(command, cwd=tree, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-4_000:]}\n{done.stderr[-2_000:]}"


@pytest.mark.timeout(300)
def test_a_declaration_and_the_readmes_command_are_all_that_it_takes(tree: Path):
    python = install(tree)
    [command] = re.findall(r"`(make docs snapshot)`", README)
    run(tree, *command.split())
    assert "`platform_page_loads`" in (tree / "README.md").read_text()
    snapshot = (tree / "tests/orchestration/__snapshots__/test_definitions.ambr").read_text()
    assert "platform/page_loads" in snapshot
    assert "business/shop/shelves" in snapshot
    run(tree, str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *CHECKS)
