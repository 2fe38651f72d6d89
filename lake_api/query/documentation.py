"""What the OpenAPI document says of the query route.

Belongs here: its texts, answers, headers and examples.
Does not belong here: the route itself (`controller`).
"""

from dataclasses import dataclass

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Schema,
)

from lake_api.errors import (
    BodyTooLarge,
    Forbidden,
    InvalidRequest,
    NotAcceptable,
    NotAuthenticated,
    QueryRejected,
    QueryUnavailable,
    RateLimited,
    UnsupportedMediaType,
)
from lake_api.query.documents import MEDIA_TYPES
from lake_api.query.messages import Form
from lake_api.query.schemas import (
    ANSWER_EXAMPLE,
    DRY_RUN_EXAMPLE,
    UNAVAILABLE_EXAMPLE,
    QueryAnswer,
)
from lake_api.web.problems import problem_responses

DESCRIPTION = """\
Runs one SELECT over the lake's datasets. Internal agents may call it; a call counts towards the \
agent's cron run (`X-Cron-Run-ID`) or, without one, its minute, and so does a refused one.

With `dry_run: true` the query is checked and not run; `plan` says what it would read.

`Accept` chooses the form of the rows: `application/json` (default), `text/csv` or \
`application/vnd.apache.arrow.stream`, with quality values; anything else is refused with 406. The \
rows, their order and the caps are the same, the cap of bytes in bytes of the form. What the JSON \
answer says beside its rows is then in `X-Lake-…` headers and, for Arrow, in the metadata of the \
schema (`lake.query_id`, `lake.truncated`, …). Errors are `application/problem+json` in every \
form. A valid query that could not be run is 200 with `source: unavailable` in JSON, and 503 with \
the same code in the other forms, which have no place for a reason.

CSV is RFC 4180 in UTF-8 with a header line: NULL is an empty field, an empty text is `""`, \
timestamps are ISO 8601 (those with a zone in UTC with `Z`), nested values are JSON. Texts are \
never changed, those that begin with `=`, `+`, `-` or `@` included: import them as text where a \
spreadsheet opens the file."""

RESPONSES = {
    200: ResponseSpec(
        data_container=QueryAnswer,
        generate_examples=False,
        description="The rows; or `source: unavailable` with `error`, when a valid query could "
        "not be run.",
        examples=[
            Example(summary="Rows", value=ANSWER_EXAMPLE),
            Example(summary="Dry run", value=DRY_RUN_EXAMPLE),
            Example(summary="Could not be run", value=UNAVAILABLE_EXAMPLE),
        ],
    ),
    **problem_responses(
        {
            400: QueryRejected(
                "There is no dataset `example_run`.",
                code="unknown_table",
                hint="Did you mean `example_runs`?",
                fragment="example_run",
            ),
            401: NotAuthenticated("This route is for internal agents."),
            403: Forbidden("Pages of another origin may not call this.", code="foreign_origin"),
            406: NotAcceptable("The rows can't be answered as text/html.", field="accept"),
            413: BodyTooLarge("The body has more than 65536 bytes."),
            415: UnsupportedMediaType("The body must be JSON."),
            422: InvalidRequest("limit: Expected `int` <= 1000", field="limit"),
            429: RateLimited(
                "At most 10 query calls per agent and cron run.", retry=True, retry_after_s=3600
            ),
            503: QueryUnavailable(
                "The stored data can't be read at the moment.",
                code="storage_unavailable",
                retry=True,
            ),
        }
    ),
}

_CSV_EXAMPLE = "agent_id,runs\r\naurora,142\r\nsage,98\r\n"

COUNT_HEADERS = {
    "X-RateLimit-Limit": "Query calls in this cron run or minute.",
    "X-RateLimit-Remaining": "Calls that are left of them.",
    "X-RateLimit-Reset": "Seconds until calls come back.",
}

DOCUMENT_HEADERS = {
    "X-Lake-Query-Id": "CSV and Arrow: the call's id, as in the log.",
    "X-Lake-Elapsed-Ms": "CSV and Arrow: milliseconds that the call took.",
    "X-Lake-Row-Count": "CSV and Arrow: rows in the answer.",
    "X-Lake-Truncated": "CSV and Arrow: `true` when there were more rows.",
    "X-Lake-Column-Types": "CSV and Arrow: types of the columns, as a JSON list.",
    "X-Lake-Freshness": "CSV and Arrow: how new each dataset is, as a JSON list.",
    "X-Lake-Warnings": "CSV and Arrow: what is worth knowing, as a JSON list.",
}


@dataclass
class QueryOperation(Operation):
    """The operation with every form of its answer, which the framework has one of for a status."""

    def __post_init__(self) -> None:
        answers = self.responses or {}
        for status, answer in answers.items():
            if isinstance(answer, OpenAPIResponse) and status not in {"401", "421"}:
                answer.headers = {**(answer.headers or {}), **_headers(COUNT_HEADERS)}
        rows = answers["200"]
        if isinstance(rows, OpenAPIResponse) and rows.content is not None:
            rows.headers = {**(rows.headers or {}), **_headers(DOCUMENT_HEADERS)}
            rows.content[MEDIA_TYPES[Form.CSV]] = OpenAPIMediaType(
                schema=Schema(type=OpenAPIType.STRING),
                examples={"rows": Example(summary="Rows", value=_CSV_EXAMPLE)},
            )
            rows.content[MEDIA_TYPES[Form.ARROW]] = OpenAPIMediaType(
                schema=Schema(
                    type=OpenAPIType.STRING,
                    content_media_type=MEDIA_TYPES[Form.ARROW],
                    description="An Arrow IPC stream; decimals and timestamps in their own types.",
                )
            )


def _headers(meanings: dict[str, str]) -> dict[str, OpenAPIHeader]:
    return {
        name: OpenAPIHeader(
            name="", param_in="header", description=meaning, schema=Schema(type=OpenAPIType.STRING)
        )
        for name, meaning in meanings.items()
    }
