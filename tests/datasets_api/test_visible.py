from lake_api.datasets.visible import Visibility, VisibleCatalog
from lake_assets.catalog import load_catalog

CATALOG = load_catalog()


def seen(*names: str) -> VisibleCatalog:
    return Visibility(CATALOG).of(lambda dataset: dataset.partition in names)


def test_names_that_can_not_be_seen_are_taken_out() -> None:
    visible = seen("platform/mcp_usage")
    assert visible.text("See `agent_run_log`.") == "See another dataset."
    assert visible.text("agent_run_log, `platform/agent_tasks`: (platform_agent_tasks)") == (
        "another dataset, another dataset: (another dataset)"
    )


def test_names_that_can_be_seen_stay() -> None:
    visible = seen("platform/mcp_usage")
    for text in ("in `platform/mcp_usage`", "platform_mcp_usage", "an agent_run_log_id", "agents"):
        assert visible.text(text) == text
    assert visible.text("in `platform/mcp_usage`.", in_sql=True) == "in `platform_mcp_usage`."


def test_who_sees_all_reads_all() -> None:
    visible = Visibility(CATALOG).of(lambda _: True)
    assert visible.is_whole
    for dataset in CATALOG:
        assert visible.text(dataset.description) == dataset.description
        assert visible.find(dataset.sql_name) is visible.find(dataset.partition) is dataset


def test_hints_offer_only_what_can_be_seen() -> None:
    visible = seen("platform/mcp_usage")
    assert visible.hint("platform/mcp_usages", otherwise="-") == (
        "Did you mean `platform_mcp_usage`?"
    )
    assert visible.hint("agent_run_logs", otherwise="-") == "-"
    assert visible.find("agent_run_log") is None


def test_callers_with_the_same_datasets_share_a_view() -> None:
    visibility = Visibility(CATALOG)
    first = visibility.of(lambda one: one.partition.startswith("business/"))
    assert visibility.of(lambda one: one.partition.startswith("business/crm/")) is not first
    assert visibility.of(lambda one: one.partition.startswith("business/")) is first
    assert visibility.of(lambda _: False).datasets == ()
