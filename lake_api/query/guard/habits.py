"""What callers write by habit of another dialect or tool, and what the lake takes in its place.

Belongs here: hints, found by what stands in the text. They explain a refusal and decide nothing.
Does not belong here: functions of other dialects (`other_dialects`), whether a text may run.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from lake_api.doors import LIST_DATASETS, dataset_route
from lake_api.nearest import nearest
from lake_api.query.guard.text import Token
from lake_assets.catalog import PARTITION_COLUMN, Dataset

_MAX_LISTED_CHARS = 600
_LISTS_DATASETS = f"{LIST_DATASETS} lists the datasets that you may read"
_MAX_WORDS = 400

# Matched over the tokens in upper case with a space between them; a string is `'`.
_WRITTEN = (
    (r"\bSELECT (?:DISTINCT )?TOP (?:\( )?(\d+)", r"Write LIMIT \1 at the end in place of TOP \1."),
    (r"\bLIMIT (\d+) , (\d+)", r"Write LIMIT \2 OFFSET \1."),
    (r"\bLIMIT \d+ BY\b", "Write QUALIFY row_number() OVER (PARTITION BY a ORDER BY b) <= 5."),
    (r"\bWITH TIES\b", "Write QUALIFY rank() OVER (ORDER BY a) <= 5 in place of WITH TIES."),
    (r"\bMINUS SELECT\b", "Write EXCEPT in place of MINUS."),
    (r"\bBETWEEN SYMMETRIC\b", "Write BETWEEN least(a, b) AND greatest(a, b)."),
    (
        r"\b(I?LIKE) (?:ANY|ALL|SOME)\b",
        r"Write one \1 for each pattern, joined with OR or AND; or regexp_matches(text, 'a|b').",
    ),
    (
        r"\) (IGNORE|RESPECT) NULLS\b",
        r"Write \1 NULLS inside of the brackets: lag(a \1 NULLS) OVER (ORDER BY b).",
    ),
    (
        r"\b(?:LISTAGG|STRING_AGG|GROUP_CONCAT) \(.* WITHIN GROUP\b",
        "Write string_agg(a, ', ' ORDER BY a).",
    ),
    (r"\bSEPARATOR '", "Write string_agg(a, ', ')."),
    (r"\bOVERLAPS\b", "Write a_start < b_end AND b_start < a_end."),
    (r"\bFOR (?:NO KEY |KEY )?(?:UPDATE|SHARE)\b", "Leave it out: a query only reads."),
    (r"\bWITH \( NOLOCK\b", "Leave it out: a query only reads."),
    (
        r"\bFOR SYSTEM_TIME\b|\bAT \( (?:VERSION|TIMESTAMP)\b",
        "Leave it out: every day has one version. Filter on `date`.",
    ),
    (r"\bLATERAL VIEW\b", "Write CROSS JOIN unnest(list) AS t(item)."),
    (r"\b(?:CROSS|OUTER) APPLY\b", "Write CROSS JOIN LATERAL (SELECT …) AS t."),
    (r"\bAPPLY \(", "Write list_transform(list, lambda x: …)."),
    (r"\bWITH (ROLLUP|CUBE)\b", r"Write GROUP BY \1 (a, b)."),
    (r"\b(?:NOT )?(?:REGEXP|RLIKE) '", "Write regexp_matches(text, 'pattern')."),
    (r"\bSAFE_CAST \(", "Write TRY_CAST(a AS BIGINT)."),
    (r"\bDIV\b", "Write a // b for whole numbers."),
    (r"\bMOD \d", "Write a % b."),
    (r"\bINTERVAL ' \w+ TO \w+", "Write INTERVAL '1 year 2 months'."),
    (r"[-+] \d+ (YEAR|MONTH|WEEK|DAY|HOUR|MINUTE|SECOND)S?\b", r"Write INTERVAL 7 \1."),
    (r"\bCONNECT BY\b", "Write WITH RECURSIVE."),
    (r"\bAS (?:STRUCT|VALUE)\b", "Write {'a': a, 'b': b} for a struct."),
    (r"(?:FROM|JOIN|,) \[", "Write names without square brackets."),
    (r"& & ", "Write AND in place of &&."),
    (r"\| \| \w+ (?:[=<>]|LIKE|IN)", "Write OR in place of ||, which joins texts."),
    (r"# ", "Comments begin with -- or stand between /* and */."),
    (
        r"\bDATE_?DIFF \( \w+ , \w+ \)",
        "Write the part first: date_diff('day', a, b).",
    ),
    (r"\bDECODE \(", "Write CASE a WHEN 1 THEN 'x' ELSE 'y' END."),
    (r"\bFORM\b", "Did you mean FROM?"),
    (r"\bCONVERT \(", "Write CAST(a AS VARCHAR)."),
    (r"\bUSING SAMPLE\b", "USING SAMPLE stands before ORDER BY and LIMIT."),
)
_PATTERNS = tuple((re.compile(pattern), hint) for pattern, hint in _WRITTEN)

_CATALOG_TABLES = re.compile(
    r"(information_schema|pg_catalog|pg|sqlite|duckdb|sys|svv|all|user)(_|\.|$)"
)
_COLUMNS_WANTED = re.compile(r"\b(COLUMNS|TABLE_INFO|DUCKDB_COLUMNS)\b")
_WRITE_WORDS = """
    ALTER ATTACH COPY CREATE DELETE DETACH DROP EXPORT GRANT IMPORT INSERT INSTALL LOAD MERGE
    REPLACE REVOKE TRUNCATE UPDATE UPSERT
"""
_ALONE = "Send the SELECT alone, without anything before it."
_UNSET = "Leave it out: nothing is set between queries, and the time zone is UTC."
_INLINE = "Write the values into one SELECT, or name parts of it in a WITH clause."
_READ_ONLY = "The lake is read-only. Name an intermediate result in a WITH clause."
_OPENINGS: Mapping[str, str] = {
    **dict.fromkeys(_WRITE_WORDS.split(), _READ_ONLY),
    **dict.fromkeys(("SET", "RESET", "USE"), _UNSET),
    **dict.fromkeys(("DECLARE", "BEGIN", "EXEC", "EXECUTE", "CALL", "PREPARE"), _INLINE),
    "EXPLAIN": "Send the SELECT with dry_run set to true: the answer says what would be read.",
    "VALUES": "Write SELECT * FROM (VALUES (1, 'a')) AS t(a, b).",
    "TABLE": "Write FROM before the name of a dataset, in place of TABLE.",
    "PIVOT": "Write SELECT * FROM (PIVOT t ON a IN ('x', 'y') USING count(*) GROUP BY b).",
    "UNPIVOT": "Write SELECT * FROM (UNPIVOT t ON a, b INTO NAME k VALUE v).",
    "SQL": _ALONE,
}
_TELLS = frozenset({"SHOW", "DESCRIBE", "DESC", "PRAGMA", "SUMMARIZE"})
_FIRST_WORDS = ("select", "with", "from")


def habit_hint(tokens: Sequence[Token]) -> str | None:
    """What to write in place of the first thing in the text that the lake's SQL does not have."""
    written = " ".join(
        "'" if token.kind == "string" else token.text.upper() for token in tokens[:_MAX_WORDS]
    )
    for pattern, hint in _PATTERNS:
        found = pattern.search(written)
        if found:
            return found.expand(hint) if "\\" in hint else hint
    return None


def opening_hint(tokens: Sequence[Token], readable: Mapping[str, Dataset]) -> str | None:
    """What to do in place of a statement that is no SELECT."""
    word, *rest = [token.text.upper() for token in tokens if token.text != "("]
    if word in _TELLS:
        named = _named(tokens, readable)
        return columns_hint(named) if named else datasets_hint(readable)
    if word in _OPENINGS:
        return _OPENINGS[word]
    if word.startswith(('"SELECT', "'SELECT")):
        return "Send the SQL without quotes around it."
    if rest and rest[0] == "SELECT":
        return _ALONE
    meant = nearest(word, _FIRST_WORDS, count=1) if word.isalpha() else ()
    return f"Did you mean {meant[0].upper()}?" if meant else None


def catalog_hint(name: str, tokens: Sequence[Token], readable: Mapping[str, Dataset]) -> str | None:
    """What there is in place of the engine's own tables; None for any other name."""
    if not _CATALOG_TABLES.match(name.lower()):
        return None
    wanted = _COLUMNS_WANTED.search(name.upper())
    named = _named(tokens, readable) if wanted else None
    return columns_hint(named) if named else datasets_hint(readable)


def datasets_hint(readable: Mapping[str, Dataset]) -> str:
    """Where the datasets are listed, and as many of their names as fit."""
    return f"{_LISTS_DATASETS}: {_listed(list(readable))}." if readable else f"{_LISTS_DATASETS}."


def columns_hint(dataset: Dataset) -> str:
    """Where a dataset is described, and as many of its columns as fit."""
    names = [*(column.name for column in dataset.columns), PARTITION_COLUMN]
    return (
        f"{dataset_route(dataset.sql_name)} describes {dataset.sql_name}. "
        f"Its columns are {_listed(names)}."
    )


def null_warnings(written: Collection[str]) -> tuple[str, ...]:
    """What to say of comparisons with NULL, which are never true."""
    return tuple(
        f"`{sign} NULL` is never true: write `{'IS NULL' if sign == '=' else 'IS NOT NULL'}`."
        for sign in sorted(written)
    )


def _named(tokens: Sequence[Token], readable: Mapping[str, Dataset]) -> Dataset | None:
    """The first dataset that the text names, quoted or not."""
    by_partition = {dataset.partition: dataset for dataset in readable.values()}
    for token in tokens:
        name = token.text.strip("'\"").lower()
        found = readable.get(name) or by_partition.get(name)
        if found:
            return found
    return None


def _listed(names: Sequence[str]) -> str:
    shown: list[str] = []
    left = _MAX_LISTED_CHARS
    for name in names:
        left -= len(name) + 2
        if left < 0:
            return f"{', '.join(shown)} and {len(names) - len(shown)} more"
        shown.append(name)
    return ", ".join(shown)
