"""What files may be called."""

import pytest

from lake_api.artifacts.names import MAX_NAME_BYTES, clean_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("report.csv", "report.csv"),
        ("weekly report (3).pdf", "weekly report (3).pdf"),
        ("Übersicht-日本語.xlsx", "Übersicht-日本語.xlsx"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\x.txt", "x.txt"),
        ("/x/.bashrc", "bashrc"),
        ("a\r\nSet-Cookie: x=1", "a Set-Cookie_ x=1"),
        ("a\0b.txt", "ab.txt"),
        ("report\u202efdp.exe", "reportfdp.exe"),
        ("\u2066x\u2069\u200b\ufeff.md", "x.md"),
        ('a"b;c.txt', "a_b_c.txt"),
        ("<script>.html", "_script_.html"),
        ("  name  .  ", "name"),
        ("nul.txt", "_nul.txt"),
        ("CON", "_CON"),
        ("console.log", "console.log"),
        ("e\u0301.txt", "é.txt"),
    ],
)
def test_a_name_is_cleaned(text: str, name: str):
    assert clean_name(text) == name
    assert clean_name(name) == name


@pytest.mark.parametrize("text", ["", ".", "..", "a/", "\u202e", " . ", "\ud800", "///"])
def test_nothing_may_be_left(text: str):
    assert clean_name(text) is None


def test_a_long_name_keeps_its_suffix_and_whole_characters():
    for text in ("a" * 500 + ".parquet", "日" * 300 + ".csv", "é" * 300):
        name = clean_name(text)
        assert name is not None
        assert len(name.encode()) <= MAX_NAME_BYTES
        assert name.rpartition(".")[2] in {"parquet", "csv", name}
