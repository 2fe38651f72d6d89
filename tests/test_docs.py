"""What the documentation says is so."""

import re
import runpy
from pathlib import Path

import pytest

from lake_api.cli.commands import main
from lake_api.cli.demo import QUESTIONS, STEPS

ROOT = Path(__file__).parents[1]
GENERATE = runpy.run_path(str(ROOT / "docs/generate.py"))


@pytest.mark.parametrize("page", GENERATE["PARTS"])
def test_pages_show_what_is_declared_as_it_is(page):
    assert GENERATE["rendered"](page) == (ROOT / page).read_text(), "run `make docs`"


@pytest.mark.parametrize("page", ["README.md", "AGENTS.md"])
def test_every_path_that_a_page_names_exists(page):
    text = (ROOT / page).read_text()
    named = set(re.findall(r"`((?:lake_assets|lake_api|tests|docs|benchmarks)/[\w./-]*)`", text))
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", ["README.md", "AGENTS.md"])
def test_every_make_target_that_a_page_names_exists(page):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z-]+)", (ROOT / page).read_text()))
    assert named
    assert named <= targets


def test_every_lake_command_that_the_readme_names_exists():
    named = set(
        re.findall(r"^\s*\$? ?lake ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    )
    named |= set(re.findall(r"`lake ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert named
    assert named <= set(main.commands)


def test_every_folder_of_the_packages_is_on_the_map():
    text = (ROOT / "AGENTS.md").read_text()
    for package in ("lake_assets", "lake_api"):
        for folder in (ROOT / package).iterdir():
            if folder.is_dir() and not folder.name.startswith("__"):
                assert f"`{package}/{folder.name}/`" in text, folder


def test_the_readme_shows_the_demo_as_it_is():
    text = (ROOT / "README.md").read_text()
    start = text.index("**`make demo`**")
    shown = text[start : text.index("**`make test`**")].splitlines()
    assert [line.removeprefix("→ ") for line in shown if line.startswith("→ ")] == list(STEPS)
    known = {question.title for question in QUESTIONS} | {question.note for question in QUESTIONS}
    assert len(known & set(shown)) >= 3
