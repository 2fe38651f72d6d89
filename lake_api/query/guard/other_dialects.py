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
    "now()": "getdate sysdate",
    "date_trunc('hour', t)": "timestamp_trunc datetime_trunc",
    "date_diff('day', t, now())": "timestampdiff timestamp_diff datetime_diff",
    "t + INTERVAL 1 DAY": "dateadd timestampadd timestamp_add datetime_add",
    "t - INTERVAL 1 DAY": "timestamp_sub datetime_sub",
    "epoch(t)": "unix_timestamp to_unixtime tounixtimestamp",
    "to_timestamp(a)": "from_unixtime timestamp_seconds",
    "coalesce(a, b)": "nvl isnull",
    "CASE WHEN a > b THEN a ELSE b END": "iif",
    "a / nullif(b, 0)": "safe_divide div0",
    "count(DISTINCT a)": "uniq uniqexact countdistinct",
    "sum(a) FILTER (WHERE b > 0)": "sumif sum_if avgif avg_if",
    _PERCENTILE: "percentile approx_percentile percentile_approx",
    "list(a)": "collect_list collect_set",
    _PLACE: "charindex locate",
    "regexp_extract(s, 'pattern')": "regexp_substr",
    "regexp_matches(s, 'pattern')": "regexp_like rlike",
    _JSON_TEXT: "get_json_object json_extract_scalar jsonb_extract_path_text",
}

IN_DUCKDB: Mapping[str, str] = MappingProxyType(
    {name: written for written, names in _NAMES.items() for name in names.split()}
)
"""What to write in place of a function, by its name; a and b are numbers, s and json texts."""
