"""What `make` does before it installs anything: which Python it takes, what it shields pip from."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def checkout(tmp_path: Path, project_root: Path) -> Path:
    """A folder with the Makefile, and a pip that only says how it was called."""
    folder = tmp_path / "a checkout, Größe"
    folder.mkdir()
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(project_root / name, folder / name)
    return folder


def make(checkout: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        ["make", *words], cwd=checkout, env=kept | env, capture_output=True, text=True, check=False
    )


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("version", ["(3, 10)", "(3, 15)", "(2, 7)"])
def test_a_python_that_is_too_old_or_too_new_is_refused_in_one_sentence(
    checkout: Path, tmp_path: Path, version: str
) -> None:
    python = tmp_path / "bin" / "python-of-another-age"
    program(
        python,
        f'exec python3.11 -c "import sys; sys.version_info = {version}; exec(sys.argv[1])" "$2"',
    )
    ended = make(checkout, ".venv/.installed", f"PYTHON={python}")
    assert ended.returncode != 0
    said = ended.stderr.splitlines()[0]
    assert "3.11" in said
    assert str(python) in said
    assert not (checkout / ".venv").exists()


def test_a_python_that_does_not_run_is_passed_over(checkout: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3.11", "exit 127")
    program(tmp_path / "bin" / "python3.12", 'case "$1" in -c) exit 0;; esac; echo "$0 $*"; exit 3')
    ended = make(checkout, ".venv/.installed", PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert "-m venv --clear .venv" in ended.stdout
    # What could not be made whole is not left behind.
    assert "python3-venv" in ended.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_that_comes_too_late_is_told_in_one_line(checkout: Path, tmp_path: Path) -> None:
    program(checkout / ".venv" / "bin" / "python", "exit 1")
    python = str(tmp_path / "python")
    line = f".venv exists and is used as it is: PYTHON={python} takes effect after `make clean`."
    assert make(checkout, "help", f"PYTHON={python}").stdout.splitlines()[0] == line
    assert line not in make(checkout, "help").stdout


def test_pip_sees_the_network_and_no_other_settings(checkout: Path) -> None:
    program(checkout / ".venv" / "bin" / "python", 'env > "$PWD/env"; exit 1')
    ended = make(
        checkout,
        ".venv/.installed",
        PIP_INDEX_URL="https://index.corp.example/simple",
        PIP_TARGET="/nowhere",
        PIP_USER="1",
        PYTHONPATH="/nowhere",
        PYTHONHOME="/nowhere",
        HTTPS_PROXY="http://proxy.corp.example:3128",
    )
    assert ended.returncode != 0
    seen = dict(
        line.split("=", 1) for line in (checkout / "env").read_text().splitlines() if "=" in line
    )
    assert seen["PIP_INDEX_URL"] == "https://index.corp.example/simple"
    assert seen["HTTPS_PROXY"] == "http://proxy.corp.example:3128"
    assert not {"PIP_TARGET", "PIP_USER", "PYTHONPATH", "PYTHONHOME"} & set(seen)


def test_a_checkout_that_was_moved_installs_its_commands_anew(checkout: Path) -> None:
    program(checkout / ".venv" / "bin" / "python", 'echo "python $*"')
    assert "--editable" in make(checkout, ".venv/.installed").stdout
    assert make(checkout, ".venv/.installed").stdout.count("--editable") == 0
    moved = checkout.rename(checkout.with_name("moved"))
    assert "--editable" in make(moved, ".venv/.installed").stdout
