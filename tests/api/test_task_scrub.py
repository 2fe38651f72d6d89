import pytest

from lake_api.tasks.scrub import MAX_CHARS, first_line


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("\n  not built yet \nTraceback …", "not built yet"),
        ("", "no message"),
        (
            "lake_assets.storage.conform.SchemaMismatch: column cost_usd: expected decimal(18,6)",
            "SchemaMismatch: column cost_usd: expected decimal(18,6)",
        ),
        ("dagster._core.definitions.events.Failure: not built yet", "not built yet"),
        ("can't open /srv/lake/a b.txt and /etc/passwd", "can't open <path> b.txt and <path>"),
        ("GET http://user:pw@10.0.0.1:8333/b failed", "GET <address> failed"),
        ("postgresql://lake:hunter2@db/x refused", "<address> refused"),
        ("login with password=hunter2 failed", "login with password=<hidden> failed"),
        ("AWS_SECRET_ACCESS_KEY: abc123 is wrong", "AWS_SECRET_ACCESS_KEY: <hidden> is wrong"),
        ("Authorization: Bearer abc.def", "Authorization: <hidden>"),
        (
            "no object raw/platform/llm_token_usage/date=2026-11-21/data.parquet",
            "no object <object>",
        ),
        (
            "platform/llm_token_usage: watermark out of the day",
            "platform/llm_token_usage: watermark out of the day",
        ),
        ("column total_tokens is missing", "column total_tokens is missing"),
        ("3/4 of the rows", "3/4 of the rows"),
    ],
)
def test_the_first_line_without_what_it_must_not_tell(message: str, line: str) -> None:
    assert first_line(message) == line


def test_long_lines_are_cut() -> None:
    assert len(first_line("x" * 5000)) == MAX_CHARS
