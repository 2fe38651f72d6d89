"""Where a hint sends its reader, in the words of the door that the reader used.

Belongs here: the places that hints name, as a route, as a tool of MCP, and as a command.
Does not belong here: deciding what a hint says.

A hint names routes, because HTTP is what every other door goes through. The MCP server and the
command line pass each text through `in_words_of` before they show it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

LAKE = "/api/v1/internal/lake"
FILES = f"{LAKE}/files"
LIST_DATASETS = f"GET {LAKE}/datasets"
START_JOB = f"POST {LAKE}/jobs"
READINESS = "GET /readyz"
ROUTES = "GET /schema/openapi.json"


class Door(Enum):
    """How a caller reaches the lake."""

    HTTP = "http"
    MCP = "mcp"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    route: str
    words: Mapping[Door, str]


_NAME = r"(?P<name>[a-z0-9_]+(?:/[a-z0-9_]+)*)"
_PLACES = (
    _Place(
        route=rf"`?{re.escape(LIST_DATASETS)}/{_NAME}/sample`?",
        words={
            Door.MCP: r"sample_dataset with name \g<name>",
            Door.COMMAND: r"`lake query 'FROM \g<name> LIMIT 5'`",
        },
    ),
    _Place(
        route=rf"`?{re.escape(LIST_DATASETS)}/{_NAME}`?",
        words={
            Door.MCP: r"describe_dataset with name \g<name>",
            Door.COMMAND: r"`lake describe \g<name>`",
        },
    ),
    _Place(
        route=rf"`?{re.escape(LIST_DATASETS)}\b`?",
        words={Door.MCP: "list_datasets", Door.COMMAND: "`lake datasets`"},
    ),
    _Place(
        route=rf"`?{re.escape(START_JOB)}\b`?",
        words={Door.MCP: "start_job", Door.COMMAND: "`lake jobs start`"},
    ),
    _Place(
        route=rf"`?(?:{re.escape(READINESS)}|/readyz)\b`?",
        words={Door.MCP: "the service's /readyz", Door.COMMAND: "`lake status`"},
    ),
)


def dataset_route(name: str) -> str:
    """The route that describes one dataset."""
    return f"{LIST_DATASETS}/{name}"


def in_words_of(door: Door, text: str) -> str:
    """`text` with the routes that it names as this door calls them."""
    for place in _PLACES:
        words = place.words.get(door)
        if words is not None:
            text = re.sub(place.route, words, text)
    return text
