"""The OpenAPI document and a page that shows it, without any resource from elsewhere.

Belongs here: what the document says of the service as a whole, and serving the page.
Does not belong here: a route's own documentation (its `controller`).
"""

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from litestar import MediaType, Response, Router, get
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, Schema, SecurityScheme, Tag
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from lake_api.web.callers import CallersPlugin

_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_DESCRIPTION = """\
Guarded SQL over a data lake of daily partitions, for agents.

Internal agents are known by their network and name themselves in `X-Agent-ID`; calls of one cron \
run share a budget by `X-Cron-Run-ID`. Admin routes need `X-Internal-API-Key`. Every error is \
`application/problem+json` with a stable `code`."""


class StrictBodies(OpenAPISchemaPlugin):
    """Says of bodies that refuse unknown fields that they do."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Whether it is such a body."""
        if field_definition.is_union or not field_definition.is_subclass_of(msgspec.Struct):
            return False
        struct: type[msgspec.Struct] = field_definition.type_
        return struct.__struct_config__.forbid_unknown_fields

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """The framework's schema, closed."""
        its_own = next(
            one
            for one in schema_creator.plugins
            if one is not self
            and isinstance(one, OpenAPISchemaPlugin)
            and one.is_plugin_supported_field(field_definition)
        )
        schema = its_own.to_openapi_schema(field_definition, schema_creator)
        schema.additional_properties = False
        return schema


def openapi_config() -> OpenAPIConfig:
    """The document, at `/schema/openapi.json`."""
    return OpenAPIConfig(
        title="Data lake API",
        version="1.0.0",
        description=_DESCRIPTION,
        path="/schema",
        render_plugins=[CallersPlugin(path=["/openapi.json", "/"])],
        tags=[
            Tag(name="lake", description="Asking the lake."),
            Tag(name="datasets", description="Finding what to ask."),
            Tag(name="tasks", description="Writing the lake."),
            Tag(name="artifacts", description="Keeping files."),
            Tag(name="files", description="What links to exports and artifacts lead to."),
            Tag(name="operations", description="What takes long, and the parts of the lake."),
            Tag(name="tokens", description="Who may do what."),
            Tag(name="health", description="Whether it is up."),
        ],
        components=Components(
            security_schemes={
                "InternalApiKey": SecurityScheme(
                    type="apiKey",
                    name="X-Internal-API-Key",
                    security_scheme_in="header",
                    description="The value of AINATIVE_INTERNAL_API_KEY.",
                ),
                "BearerToken": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="A token of a swarm or an agent.",
                ),
            }
        ),
    )


def docs_router() -> Router:
    """`/docs` and its script and style."""
    return Router(
        path="/docs",
        route_handlers=[_page, _script, _style],
        include_in_schema=False,
    )


@get("/", media_type=MediaType.HTML, sync_to_thread=False)
def _page() -> Response[bytes]:
    return _asset("docs.html", MediaType.HTML)


@get("/docs.js", sync_to_thread=False)
def _script() -> Response[bytes]:
    return _asset("docs.js", "text/javascript")


@get("/docs.css", sync_to_thread=False)
def _style() -> Response[bytes]:
    return _asset("docs.css", "text/css")


def _asset(name: str, media_type: str) -> Response[bytes]:
    return Response(
        _read(name),
        media_type=media_type,
        headers={
            "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        },
    )


@cache
def _read(name: str) -> bytes:
    return files("lake_api.web").joinpath(name).read_bytes()
