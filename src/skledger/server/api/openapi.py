"""The API's description of itself, made from the same fields by which requests are read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from skledger.server.api.dispatch import Endpoint
from skledger.server.api.jsons import dumps

__all__ = ["describe", "routes"]

_BASE = "/api/2.0/mlflow/"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_IN_PATH = re.compile(r"\{(\w+)\}")
_ERROR = {"$ref": "#/components/responses/Error"}
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def describe(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the description, as OpenAPI 3.1 has it."""
    import skledger

    paths: dict[str, Any] = {}
    for each in endpoints:
        paths.setdefault(_BASE + each.path, {})[each.method.lower()] = _operation(each)
    paths.update(_files())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "skledger tracking server",
            "version": skledger.__version__,
            "description": "MLflow's REST API. Every request may also be sent to /ajax-api/.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": _error_schema()}, "responses": {"Error": _error()}},
    }


def routes(endpoints: Iterable[Endpoint]) -> list[BaseRoute]:
    """Return the route of the description."""
    known = tuple(endpoints)

    @cache
    def described() -> bytes:
        return dumps(describe(known))

    def openapi(request: Request) -> Response:
        return Response(described(), media_type="application/json")

    return [Route("/api/openapi.json", openapi, methods=["GET"])]


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    in_path = set(_IN_PATH.findall(endpoint.path))
    told: dict[str, Any] = {
        "summary": endpoint.summary,
        "tags": [endpoint.path.partition("/")[0]],
        "operationId": f"{endpoint.method.lower()}-{_IN_PATH.sub('', endpoint.path)}",
    }
    is_asked = endpoint.method == "GET"
    parameters = [
        {
            "name": each.name,
            "in": "path" if each.name in in_path else "query",
            "required": each.is_required,
            "schema": dict(each.schema),
        }
        for each in endpoint.fields
        if each.name in in_path or is_asked
    ]
    if parameters:
        told["parameters"] = parameters
    in_body = [each for each in endpoint.fields if each.name not in in_path and not is_asked]
    if in_body:
        told["requestBody"] = {"content": {"application/json": {"schema": _body(in_body)}}}
    told["responses"] = _answers({"application/json": {"schema": {"type": "object"}}})
    return told


def _body(fields: Iterable[Any]) -> dict[str, Any]:
    listed = list(fields)
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {each.name: dict(each.schema) for each in listed},
    }
    required = [each.name for each in listed if each.is_required]
    return {**schema, "required": required} if required else schema


def _answers(content: Any = None) -> dict[str, Any]:
    done = {"description": "Done", **({"content": content} if content else {})}
    return {"200": done, "default": _ERROR}


def _files() -> dict[str, Any]:
    """Return the paths of files, which are no JSON."""
    path = {"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}
    query = {"name": "path", "in": "query", "schema": {"type": "string"}}
    listing = {"application/json": {"schema": {"type": "object"}}}
    return {
        _FILES: {
            "get": {"summary": "Tell files", "parameters": [query], "responses": _answers(listing)}
        },
        f"{_FILES}/{{path}}": {
            "parameters": [path],
            "get": {"summary": "Fetch a file", "responses": {**_answers(_BYTES), "206": _part()}},
            "put": {
                "summary": "Send a file",
                "requestBody": {"content": _BYTES},
                "responses": _answers(),
            },
            "delete": {"summary": "Remove a file or a folder", "responses": _answers(listing)},
        },
    }


def _part() -> dict[str, Any]:
    return {"description": "The range that was asked for", "content": _BYTES}


def _error() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {
        "description": "Refused, or failed",
        "content": {"application/json": {"schema": schema}},
    }


def _error_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["error_code", "message"],
        "properties": {
            "error_code": text,
            "message": text,
            "sqlstate": text,
            "error_class": text,
        },
    }
