"""What the lake tells of itself: who asked what of it.

Belongs here: datasets that the query service's own database is the source of.
Does not belong here: what agents did elsewhere (`platform_extended_agents`).
"""

from lake_assets.catalog import Dataset, recorded

_GROUP = "Platform Extended"

DATASETS: tuple[Dataset, ...] = (
    recorded(
        "platform/lake_query_audit",
        "Who asked what of the lake, over which datasets, how it ended and what it cost; one row "
        "per call.",
        group=_GROUP,
        table="audit",
        tasks="lake.export_lake_query_audit",
        key="id",
        watermark="asked_at",
        proposed=True,
        notes=(
            "Refused calls are in it: `outcome` is ok, rejected (the SQL), invalid (the request), "
            "limited, unavailable, error, refused (not a query), cancelled. Of refusals that repeat "
            "(429, or an unknown caller), and of looks at how something stands, it has the first "
            "sixty of a caller, an action and a minute. What changes something has two rows with "
            "one `call_id`: begun, then how it ended. Jobs and exports have one more when they "
            "end: run_job, run_export. Texts of queries are not in it. Whoever reads it learns "
            "which other datasets are asked for: a token reads it only when a pattern names it in "
            "full."
        ),
        columns="""
            id            string!     One id per row, in the order of time.
            asked_at      timestamp!  When the call came in.
            action        string!     What it was: query, dry_run, create_token, trigger_task, …
            role          string      What the caller is; null when unknown. {admin|swarm|agent}
            caller        string      Name of the caller or of its token; null when unknown.
            token_id      string      The token that it showed; null when it showed none.
            swarm_id      string      The swarm of that token; null when it has none.
            cron_run      string      The cron run that it named; null when it named none.
            subject       string      What it was done to: a token, a task; null for queries.
            call_id       string      One id per call; for a query the `query_id` of its answer.
            sql_sha256    string      SHA-256 of the query's text, in hex; null without one.
            datasets      json!       Partitions that the query names, as a JSON list.
            form          string      Form of the answer or file, such as json or csv.
            outcome       string!     How it ended, as the notes say.
            code          string      Short code of what went wrong; null when nothing did.
            row_count     int64!      Rows in the answer.
            answer_bytes  int64!      Size of the answer, or of the file that it is about, in bytes.
            read_bytes    int64!      Stored bytes that were read; 0 for an answer from memory.
            elapsed_ms    float64!    Time from the call to its answer in milliseconds.
        """,
    ),
)
