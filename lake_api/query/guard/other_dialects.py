"""Functions of other dialects that models write by habit, and what DuckDB has in their place.

Belongs here: names and hints. Does not belong here: which functions are allowed (`functions`).

Without these, the nearest name would be offered: `to_years` for `to_char`.
"""

from collections.abc import Mapping
from types import MappingProxyType

_FORMATTED = "strftime(t, '%Y-%m-%d')"
_PARSED = "strptime(s, '%Y-%m-%d')"
_PLACE = "strpos(s, 'part')"
_JSON_TEXT = "json_extract_string(json, '$.key')"
_PERCENTILE = "quantile_cont(a, 0.95)"
_NAMES = {
    _FORMATTED: "to_char date_format format_date format_datetime formatdatetime",
    _PARSED: "to_date str_to_date parse_date parse_datetime",
    "current_date - 1": "yesterday",
    "current_date": "curdate",
    "now()": "getdate sysdate current_timestamp getutcdate",
    "date_diff('day', t, now())": "timestampdiff timestamp_diff datetime_diff",
    "t + INTERVAL 1 DAY": "dateadd timestampadd timestamp_add datetime_add",
    "t - INTERVAL 1 DAY": "timestamp_sub datetime_sub",
    "epoch(t)": "unix_timestamp to_unixtime tounixtimestamp",
    "to_timestamp(a)": "from_unixtime timestamp_seconds",
    "coalesce(a, b)": "nvl isnull zeroifnull",
    "CASE WHEN a IS NULL THEN 0 ELSE a END": "nvl2",
    "CAST(t AS DATE)": "date todate to_timestamp_ntz",
    "date_trunc('hour', t)": "tostartofhour tostartofday tostartofminute tostartofmonth "
    "tostartofweek timestamp_trunc datetime_trunc",
    "count_if(a > b)": "sumiff",
    "upper(s[1]) || lower(s[2:])": "initcap",
    "least(a // 10, 5)": "width_bucket",
    "approx_count_distinct(a)": "approx_distinct uniqcombined uniqhll12 ndv hll_count_distinct",
    "TRY_CAST(s AS BIGINT)": "to_number toint64 toint32 try_to_number tofloat64",
    "arg_max(a, b)": "last_by",
    "CASE WHEN a > b THEN a ELSE b END": "iif",
    "a / nullif(b, 0)": "safe_divide div0",
    "count(DISTINCT a)": "uniq uniqexact countdistinct",
    "sum(a) FILTER (WHERE b > 0)": "sumif sum_if avgif avg_if",
    _PERCENTILE: "percentile approx_percentile percentile_approx",
    "list(a)": "collect_list collect_set",
    _PLACE: "charindex locate",
    "regexp_extract(s, 'pattern')": "regexp_substr",
    "regexp_matches(s, 'pattern')": "regexp_like rlike",
    _JSON_TEXT: "get_json_object json_extract_scalar jsonb_extract_path_text jsonextractstring",
}

IN_DUCKDB: Mapping[str, str] = MappingProxyType(
    {name: written for written, names in _NAMES.items() for name in names.split()}
)
"""What to write in place of a function, by its name; a and b are numbers, s and json texts."""

OF_NO_ENGINE: Mapping[str, str] = MappingProxyType(
    {
        "top": "Write LIMIT 5 at the end of the query.",
        "getenv": "A query reads datasets only, and no environment.",
        "convert": "Write CAST(a AS VARCHAR).",
    }
)
"""What to do about names that look like functions, and for which DuckDB has none."""
