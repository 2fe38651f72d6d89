"""The tool `lake_query`, in the forms that servers of models take tools in.

Belongs here: the tool's name and parameters, and its forms.
Does not belong here: what it tells a model (`guide`), who may read it, HTTP (`controller`).
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from lake_api.datasets.visible import VisibleCatalog
from lake_api.query.schemas import DEFAULT_ROWS, MAX_ROWS, MAX_SQL_CHARS, MIN_SQL_CHARS
from lake_api.tool.guide import MIN_GUIDE_CHARS, guide
from lake_assets.catalog import Dataset

TOOL_NAME = "lake_query"

SHORT_DESCRIPTION_CHARS = 1024
"""The longest `function.description` that OpenAI takes; other clients cut at 2,048."""

_NOT_STRICT = frozenset({"default", "minLength", "maxLength", "title"})
"""Keywords that a strict schema of OpenAI may not have."""


class ToolForm(Enum):
    """Whose form of a tool."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    MCP = "mcp"


def in_form(
    form: ToolForm,
    *,
    name: str,
    description: str,
    parameters: Mapping[str, Any],
    reads_only: bool = True,
    strict: bool = False,
) -> dict[str, Any]:
    """A tool in the form that is wanted; `parameters` is the JSON schema of its arguments."""
    if strict:
        parameters = strict_schema(parameters)
    match form:
        case ToolForm.OPENAI:
            function = {"name": name, "description": description, "parameters": parameters}
            return {
                "type": "function",
                "function": {**function, **({"strict": True} if strict else {})},
            }
        case ToolForm.ANTHROPIC:
            return {"name": name, "description": description, "input_schema": parameters}
        case ToolForm.MCP:
            return {
                "name": name,
                "description": description,
                "inputSchema": parameters,
                "annotations": {
                    "readOnlyHint": reads_only,
                    "destructiveHint": False,
                    "openWorldHint": False,
                },
            }


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of arguments as strict servers take it: every field is required.

    A field that may be left out may be null in its place; the routes read null as not given.
    """
    required = set(schema.get("required", ()))
    properties = {
        name: _strict_field(field, may_be_null=name not in required)
        for name, field in schema.get("properties", {}).items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _strict_field(field: Mapping[str, Any], *, may_be_null: bool) -> dict[str, Any]:
    strict = {key: value for key, value in field.items() if key not in _NOT_STRICT}
    if may_be_null:
        strict["type"] = [strict["type"], "null"]
        if "enum" in strict:
            strict["enum"] = [*strict["enum"], None]
    if "default" in field:
        text = strict.get("description", "")
        strict["description"] = f"{text} Null means {field['default']!r}.".strip()
    return strict


def tool_definition(
    visible: VisibleCatalog,
    *,
    with_columns: tuple[Dataset, ...] = (),
    short: bool = True,
    max_chars: int = MIN_GUIDE_CHARS,
    form: ToolForm = ToolForm.OPENAI,
    strict: bool = False,
) -> dict[str, Any]:
    """The tool for a caller who sees this of the catalogue.

    Args:
        visible: the datasets that it tells about.
        with_columns: the datasets whose columns are listed with types and meanings.
        short: keep the description within what bounded servers take, and carry the guide in the
            description of the `sql` parameter, which no server bounds.
        max_chars: how many characters the guide may have, when no dataset is asked for.
        form: whose form of a tool.
        strict: whether the schema is one of those that require every field.
    """
    told = guide(visible, with_columns=with_columns, max_chars=max_chars)
    sql_description = "One SELECT statement in DuckDB SQL over the dataset names."
    return in_form(
        form,
        strict=strict,
        name=TOOL_NAME,
        description=_short_description(visible) if short else told,
        parameters={
            "type": "object",
            "properties": {
                "sql": {
                    "type": "string",
                    "minLength": MIN_SQL_CHARS,
                    "maxLength": MAX_SQL_CHARS,
                    "description": told if short else sql_description,
                },
                "limit": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_ROWS,
                    "default": DEFAULT_ROWS,
                    "description": "Rows to answer when the SQL has no LIMIT of its own.",
                },
            },
            "required": ["sql"],
            "additionalProperties": False,
        },
    )


def _short_description(visible: VisibleCatalog) -> str:
    groups = ", ".join(dict.fromkeys(dataset.group for dataset in visible.datasets))
    text = (
        "Query the data lake: one read-only DuckDB SELECT over "
        f"{len(visible.datasets)} daily-partitioned datasets ({groups}). The parameter "
        "`sql` describes the dialect, the datasets and their columns."
    )
    return text[:SHORT_DESCRIPTION_CHARS]
