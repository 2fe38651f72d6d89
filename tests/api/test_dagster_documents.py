"""The GraphQL that the service sends, held against the schema of the installed Dagster."""

from typing import Any

import pytest
from dagster_graphql.schema import create_schema
from graphql import DocumentNode, GraphQLSchema, OperationDefinitionNode, parse, validate
from graphql.execution.values import get_variable_values

from lake_api.tasks import dagster as documents
from lake_api.tasks import status

_SELECTOR = {"repositoryName": "__repository__", "repositoryLocationName": "lake_assets"}
_TAGS = [{"key": "lake/task", "value": "lake.ensure_bucket"}]
_VARIABLES: dict[str, dict[str, Any]] = {
    "LaunchRun": {
        "params": {
            "selector": {**_SELECTOR, "jobName": "x", "assetSelection": [{"path": ["a", "b"]}]},
            "executionMetadata": {"tags": _TAGS},
        }
    },
    "LaunchBackfill": {
        "params": {
            "assetSelection": [{"path": ["a"]}],
            "partitionNames": ["2026-11-21"],
            "tags": _TAGS,
        }
    },
    "TaskState": {"id": "a", "runId": "a"},
    "RunFailure": {"runId": "a", "after": None, "limit": 10},
    "LeftOut": {"runId": "a", "after": None, "limit": 10},
    "Readiness": {"selector": _SELECTOR},
    "FindRun": {"tags": _TAGS},
    "FindBackfill": {"limit": 10},
}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return create_schema().graphql_schema


def _operation(document: DocumentNode) -> OperationDefinitionNode:
    [found] = document.definitions
    assert isinstance(found, OperationDefinitionNode)
    return found


@pytest.mark.parametrize("text", documents.DOCUMENTS)
def test_every_document_and_its_variables_fit_the_schema(schema: GraphQLSchema, text: str) -> None:
    document = parse(text)
    assert validate(schema, document) == []
    operation = _operation(document)
    assert operation.name is not None
    variables = _VARIABLES[operation.name.value]
    assert isinstance(get_variable_values(schema, operation.variable_definitions, variables), dict)


def test_every_state_that_dagster_knows_has_a_word_of_ours(schema: GraphQLSchema) -> None:
    for enum, known in (
        ("RunStatus", status.RUN_STATES),
        ("BulkActionStatus", status.BACKFILL_STATES),
    ):
        assert set(schema.get_type(enum).values) == set(known)  # type: ignore[union-attr]
