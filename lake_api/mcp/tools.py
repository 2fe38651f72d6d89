"""The tools: what each is called, takes and needs.

Belongs here: tools as data, and the texts a model reads of them.
Does not belong here: the guide to SQL and datasets (`lake_api.tool`), what a tool does (`calls`).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from lake_api.datasets.schemas import DatasetInfo, DatasetList, SampleAnswer
from lake_api.datasets.visible import VisibleCatalog
from lake_api.jobs.schemas import JobInfo, JobPage
from lake_api.mcp import calls
from lake_api.mcp.calls import Arguments, Ask
from lake_api.query.schemas import QueryAnswer
from lake_api.tool.definition import ToolForm, tool_definition
from lake_api.tool.guide import MIN_GUIDE_CHARS


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool. `arguments` is None where the definition is written from the catalogue.

    `answers` are the structs that the routes answer with, of which it is one.
    `operation` is what a token must allow. `item_list` and `advice` are for answers that do not
    fit; `row_count` and `truncated` of a page tell of all pages. `without` names fields that say
    nothing to a model.
    """

    title: str
    operation: str
    description: str
    arguments: type[msgspec.Struct] | None
    run: Callable[[Ask, Arguments], Awaitable[bytes]]
    answers: tuple[type[msgspec.Struct], ...]
    item_list: str
    advice: str
    is_page: bool = False
    without: tuple[str, ...] = ()
    reads_only: bool = True

    @property
    def name(self) -> str:
        """What it is called."""
        return self.run.__name__


TOOLS: tuple[Tool, ...] = (
    Tool(
        title="Query the lake in SQL",
        operation="query",
        description="",
        arguments=None,
        run=calls.lake_query,
        answers=(QueryAnswer,),
        item_list="rows",
        advice="Aggregate in SQL, or select fewer columns.",
        without=("source", "partition", "error", "elapsed_ms"),
    ),
    Tool(
        title="List datasets",
        operation="query",
        description="The datasets that you may read: name in SQL, what it holds, newest day, size. "
        "`q` finds by text.",
        arguments=calls.ListArguments,
        run=calls.list_datasets,
        answers=(DatasetList,),
        item_list="datasets",
        advice="Ask with q, or a smaller page_size.",
    ),
    Tool(
        title="Describe a dataset",
        operation="query",
        description="One dataset: its columns with types, meanings and accepted values, the days "
        "that are there and missing, how new it is, and a query to begin with. Ask this before "
        "you write SQL over a dataset for the first time.",
        arguments=calls.DescribeArguments,
        run=calls.describe_dataset,
        answers=(DatasetInfo,),
        item_list="columns",
        advice="Ask lake_query for single columns.",
    ),
    Tool(
        title="Sample rows of a dataset",
        operation="query",
        description="Some rows of one dataset, to see what its values look like. It counts as a "
        "query.",
        arguments=calls.SampleArguments,
        run=calls.sample_dataset,
        answers=(SampleAnswer,),
        item_list="rows",
        advice="Ask for fewer rows.",
        without=("seed",),
    ),
    Tool(
        title="Start a long query",
        operation="jobs",
        description="Runs SQL as of lake_query in the background, where it takes longer or has "
        "more rows than lake_query allows. Answers at once with the job; job_result has its rows.",
        arguments=calls.StartArguments,
        run=calls.start_job,
        answers=(JobInfo,),
        item_list="datasets",
        advice="Ask for fewer datasets.",
        reads_only=False,
    ),
    Tool(
        title="Rows of a long query",
        operation="jobs",
        description="A page of the rows of a job, once its `state` is `succeeded`; how it stands "
        "before.",
        arguments=calls.ResultArguments,
        run=calls.job_result,
        answers=(JobPage, JobInfo),
        item_list="rows",
        advice="Ask with a smaller page_size.",
        is_page=True,
    ),
)


def described(tool: Tool, visible: VisibleCatalog) -> tuple[str, dict[str, Any]]:
    """What a model reads of a tool: its description and the schema of its arguments."""
    if tool.arguments is None:
        return _query_described(visible)
    return tool.description, dict(_schema(tool.arguments))


@lru_cache
def answer_schema(answers: tuple[type[msgspec.Struct], ...]) -> dict[str, Any]:
    """What a tool answers, as a JSON schema.

    Nothing is required: fields that say nothing to a model are left out, and a job that runs has no
    rows yet.
    """
    found, parts = msgspec.json.schema_components(answers, ref_template="#/$defs/{name}")
    names = [one["$ref"].rpartition("/")[2] for one in found]
    properties: dict[str, Any] = {}
    for name in names:
        for field, schema in parts[name]["properties"].items():
            known = properties.get(field)
            same = known is None or known == schema
            properties[field] = schema if same else {"anyOf": [known, schema]}
    properties["note"] = {"type": "string"}
    defs = {name: part for name, part in parts.items() if name not in names}
    return {"type": "object", "properties": properties, "$defs": defs}


@lru_cache
def _schema(shape: type[msgspec.Struct]) -> Mapping[str, Any]:
    """The struct as a JSON schema that refers to nothing else."""
    _, parts = msgspec.json.schema_components([shape])
    schema = dict(parts[shape.__name__])
    del schema["title"], schema["description"]
    for one in schema["properties"].values():
        # Some clients take no enumeration without its type.
        one.setdefault("type", "string")
    return schema


@lru_cache(maxsize=256)
def _query_described(visible: VisibleCatalog) -> tuple[str, dict[str, Any]]:
    # Clients cut long descriptions of tools; the guide is where none does. It is the short one:
    # columns are a call of describe_dataset away.
    told = tool_definition(visible, short=True, max_chars=MIN_GUIDE_CHARS, form=ToolForm.MCP)
    return told["description"], told["inputSchema"]
