"""`GET /api/v1/internal/lake/tool-definition`: the tool, for whoever registers it.

Belongs here: the route and its parameters.
Does not belong here: the texts (`definition`).
"""

from typing import Annotated, Any, Literal

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Parameter, SkipValidation

from lake_api.errors import Forbidden, InvalidRequest, NotAuthenticated, NotFound
from lake_api.identity import requires_admin
from lake_api.nearest import did_you_mean
from lake_api.tool.definition import tool_definition
from lake_api.web.problems import problem_responses
from lake_assets.catalog import Catalog, Dataset

_EXAMPLE = {
    "type": "function",
    "function": {
        "name": "lake_query",
        "description": "Query the data lake …",
        "parameters": {
            "type": "object",
            "properties": {"sql": {"type": "string"}, "limit": {"type": "integer"}},
            "required": ["sql"],
            "additionalProperties": False,
        },
    },
}

_RESPONSES = {
    200: ResponseSpec(
        data_container=dict[str, Any],
        generate_examples=False,
        description="The tool, in OpenAI's form.",
        examples=[Example(value=_EXAMPLE)],
    ),
    **problem_responses(
        {
            401: NotAuthenticated("This route needs the internal API key."),
            403: Forbidden("Admin routes are switched off.", code="admin_disabled"),
            404: NotFound(
                "There is no dataset `agent_runs`.",
                code="unknown_dataset",
                hint="Did you mean `agent_run_log`?",
            ),
            422: InvalidRequest("columns: Invalid enum value 'some'", field="columns"),
        }
    ),
}


@get(
    "/api/v1/internal/lake/tool-definition",
    operation_id="get_tool_definition",
    summary="The query tool for language models",
    description="An OpenAI function tool, generated from the catalogue. By default it has one line "
    "for each dataset; `datasets` or `columns=all` adds column tables.",
    tags=["lake"],
    guards=[requires_admin],
    security=[{"InternalApiKey": []}],
    responses=_RESPONSES,
)
async def get_tool_definition(
    catalog: NamedDependency[SkipValidation[Catalog]],
    datasets: Annotated[
        str | None,
        Parameter(
            description="SQL or partition names, comma-separated, whose columns to list.",
            max_length=4000,
        ),
    ] = None,
    columns: Annotated[
        Literal["all"] | None, Parameter(description="`all`: list every dataset's columns.")
    ] = None,
    guide: Annotated[
        Literal["description", "parameter"],
        Parameter(
            description="Where the long text stands. `parameter` keeps `function.description` "
            "within 1,024 characters, as some OpenAI-compatible servers demand.",
        ),
    ] = "description",
) -> dict[str, Any]:
    """The tool for these parameters."""
    wanted = tuple(catalog) if columns == "all" else _named(catalog, datasets or "")
    return tool_definition(catalog, with_columns=wanted, short=guide == "parameter")


def _named(catalog: Catalog, listed: str) -> tuple[Dataset, ...]:
    names = [name.strip() for name in listed.split(",") if name.strip()]
    return tuple(dict.fromkeys(_find(catalog, name) for name in names))


def _find(catalog: Catalog, name: str) -> Dataset:
    if name in catalog:
        return catalog[name]
    found = catalog.by_sql_name.get(name)
    if found is None:
        raise NotFound(
            f"There is no dataset `{name[:128]}`.",
            code="unknown_dataset",
            hint=did_you_mean(
                name, catalog.by_sql_name, otherwise="The tool definition lists the datasets."
            ),
            field="datasets",
        )
    return found
