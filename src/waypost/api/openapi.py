"""The OpenAPI 3.1 document, made from the table of operations and the structs that the code reads and writes."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from waypost import __version__
from waypost.api.operations import Access, Answer, Operation
from waypost.api.shapes import Problem

REFERENCE = {
    "description": "The shipment's reference, percent-encoded (`/` is `%2F`), or its `shp_…` id.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
IDENTIFIER = {"schema": {"type": "string", "minLength": 1, "maxLength": 64}}

PROBLEM_WORDS: Mapping[int, str] = {
    400: "The request cannot be read: not JSON, not UTF-8, nested too deep, a bad cursor or query value.",
    401: "No token, or an unknown one.",
    403: "The token lacks a scope, which is named.",
    404: "Unknown here, or another account's.",
    405: "The path does not have this method.",
    409: "The state does not allow it.",
    412: "`If-Match`: it was changed meanwhile.",
    413: "The body is too large.",
    415: "The media type is not one that this operation takes.",
    422: "Understood, but wrong: `errors` names each place.",
    429: "Slow down: `Retry-After` says how long.",
    500: "Our fault. The request id leads to our record of it.",
    503: "The database is away: `Retry-After` says when to come back.",
}
WITH_RETRY_AFTER = (429, 503)

DESCRIPTION = """\
Waypost takes in what is known of shipments and tells the systems that want to know.

Send `Authorization: Bearer TOKEN`. Errors are RFC 9457 problem documents. Lists answer `items` and `next`. An answer \
of 2xx to a write means that it is on disk, together with the events that follow from it."""


def openapi_document(operations: Iterable[Operation], public_url: str) -> dict[str, Any]:
    """Give the whole document as plain data. Deterministic: the same table gives the same document."""
    operations = tuple(operations)
    schema_of, components = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Waypost",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "tags": [{"name": group} for group in dict.fromkeys(operation.group for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token, with scopes; or an operator's, which may do all.",
                }
            },
        },
    }


SchemaOf = Mapping[Any, dict[str, Any]]


def _schemas(operations: Iterable[Operation]) -> tuple[SchemaOf, dict[str, Any]]:
    """The schema of each type that the table names, and the components that these refer to."""
    types: list[Any] = [Problem]
    for operation in operations:
        types += [operation.body.type] if operation.body else []
        types += [one for answer in operation.answers for one in _types(answer)]
    unique = list(dict.fromkeys(types))
    schemas, components = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    return dict(zip(unique, schemas, strict=True)), components


def _operation(operation: Operation, schema_of: SchemaOf) -> dict[str, Any]:
    document: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.group],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": _parameters(operation),
        "security": _security(operation),
        "responses": _responses(operation, schema_of),
    }
    if operation.body is not None:
        examples = {title: {"value": value} for title, value in operation.body.examples.items()}
        media = {"schema": schema_of[operation.body.type]} | ({"examples": examples} if examples else {})
        document["requestBody"] = {
            "required": operation.body.required,
            "content": dict.fromkeys(operation.body.media_types, media),
        }
    return document


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.access in (Access.PUBLIC, Access.SOURCE):
        return []
    scope = Access.OPERATOR if operation.access is Access.METRICS else operation.access
    return [{"token": [scope.value]}]


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    named = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters = [
        {"name": name, "in": "path", "required": True} | (REFERENCE if name == "reference" else IDENTIFIER)
        for name in named
    ]
    parameters += [
        {"name": query.name, "in": "query", "description": query.description, "schema": query.schema}
        for query in operation.queries.values()
    ]
    if _security(operation) and operation.access is not Access.OPERATOR:
        parameters.append(
            _header("Waypost-Account", "For an operator's token: the account to act on. Default: `default`.")
        )
    if operation.takes_idempotency_key:
        parameters.append(
            _header("Idempotency-Key", "The same key and body answer as before for 24 h; another body is 422.")
        )
    if operation.takes_if_match:
        parameters.append(
            _header("If-Match", "The `ETag` that the change is meant for, or a list of them; 412 when it moved on.")
        )
    return parameters


def _header(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "description": description,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    }


def _responses(operation: Operation, schema_of: SchemaOf) -> dict[str, Any]:
    responses = {str(answer.status): _answer(answer, schema_of) for answer in operation.answers}
    for status in sorted(_problem_statuses(operation)):
        responses[str(status)] = _problem(status, schema_of)
    return responses


def _answer(answer: Answer, schema_of: SchemaOf) -> dict[str, Any]:
    headers = {"X-Request-Id": "The id of this request, given or made."} | dict(answer.headers)
    document: dict[str, Any] = {
        "description": answer.description,
        "headers": {name: {"description": words, "schema": {"type": "string"}} for name, words in headers.items()},
    }
    schemas = [schema_of[one] for one in _types(answer)]
    if schemas:
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        document["content"] = {answer.media_type: {"schema": schema}}
    elif answer.status != 204:
        document["content"] = {answer.media_type: {"schema": {"type": "string"}}}
    return document


def _types(answer: Answer) -> tuple[Any, ...]:
    if answer.type is None:
        return ()
    return answer.type if isinstance(answer.type, tuple) else (answer.type,)


def _problem(status: int, schema_of: SchemaOf) -> dict[str, Any]:
    document: dict[str, Any] = {
        "description": PROBLEM_WORDS[status],
        "content": {"application/problem+json": {"schema": schema_of[Problem]}},
    }
    if status in WITH_RETRY_AFTER:
        document["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}}
    return document


def _problem_statuses(operation: Operation) -> set[int]:
    statuses = {400, 500, *operation.problems}
    if _security(operation):
        statuses |= {401, 403, 404, 429, 503}
    if "{" in operation.path:
        statuses.add(404)
    if operation.body is not None:
        statuses |= {413, 415, 422}
    if operation.takes_idempotency_key:
        statuses.add(422)
    if operation.takes_if_match:
        statuses.add(412)
    return statuses - {answer.status for answer in operation.answers}
