"""What a column means wherever it appears: one name, one meaning, one sentence.

Belongs here: sentences for columns that several datasets share with the same meaning.
Does not belong here: a column whose meaning differs between datasets; its dataset says it.
"""

from collections.abc import Mapping
from types import MappingProxyType

_WHO = {
    "agent_id": "The agent, by its stable id.",
    "agent_name": "The agent's display name at that time.",
    "anonymous_id": "Id of a visitor's browser or device, also before they sign in.",
    "org_id": "The organisation.",
    "project_id": "The project.",
    "user_id": "The user.",
}

_WHEN = {
    "created_at": "When the row was created.",
    "ended_at": "When it ended; null while it goes on.",
    "finished_at": "When it finished; null while it runs.",
    "started_at": "When it started.",
    "updated_at": "When the row last changed.",
    "window_end": "End of the measured window, exclusive.",
    "window_start": "Start of the measured window, inclusive.",
}

_WHAT_IT_BELONGS_TO = {
    "request_id": "The API request; the same id in every dataset that logs it.",
    "run_id": "The agent run, as in `agent_run_log`; null outside of a run.",
    "session_id": "The session it happened in; null outside of one.",
}

_MODEL_CALLS = {
    "completion_tokens": "Tokens that the model wrote, reasoning included.",
    "cost_usd": "What it cost, in US dollars.",
    "mcp_server": "Name of the MCP server that was called.",
    "model": "Name of the model, as its provider spells it.",
    "prompt_tokens": "Tokens that the model read, cached ones included.",
    "provider": "Who served the model, such as openai or anthropic.",
    "streamed": "Whether the answer was streamed.",
    "tool_name": "Name of the tool that was called.",
    "total_tokens": "Tokens read and written together.",
}

_HOW_IT_WENT = {
    "duration_ms": "Time from start to end in milliseconds; null until it ended.",
    "error_code": "Short code of the error; null when there was none.",
    "error_message": "The error in words; null when there was none.",
    "http_status": "HTTP status code of the answer; null when none came.",
    "input_bytes": "Size of the input in bytes.",
    "latency_ms": "Time from request to complete answer in milliseconds.",
    "output_bytes": "Size of the output in bytes.",
    "request_bytes": "Size of the request in bytes.",
    "response_bytes": "Size of the answer in bytes.",
}

_CONTEXT = {
    "comment": "What the person wrote; null when nothing.",
    "country": "ISO 3166-1 alpha-2 country code; null when unknown.",
    "device_type": "Kind of device; null when unknown.",
    "metadata": "Further fields as a JSON object; null when there are none.",
    "properties": "Further fields of the event as a JSON object.",
    "referrer": "URL of the page before; null when unknown.",
    "region": "Region of the cloud provider, such as us-east-1.",
    "user_agent": "User-Agent header of the client; null when it sent none.",
}

COMMON: Mapping[str, str] = MappingProxyType(
    {**_WHO, **_WHEN, **_WHAT_IT_BELONGS_TO, **_MODEL_CALLS, **_HOW_IT_WENT, **_CONTEXT}
)
"""The sentence of a column that its dataset leaves without one, by column name."""
