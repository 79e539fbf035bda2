"""The OpenAPI document is complete, and the API does what it says, whatever is sent."""

import itertools
import os
from collections import Counter

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from oicp_adapter.api.app import api_app
from oicp_adapter.api.problem_kinds import PROBLEMS
from oicp_adapter.api.routes import ROUTES
from oicp_adapter.control.rates import RateLimits
from tests.api.conftest import soon

OPERATIONS = [f"{spec.method} {spec.documented_path}" for spec in ROUTES]


def wrong_bodies_are_refused(ctx, response, case):
    """Elsewhere everything is text, and `null` is as good a name as any."""
    component = case.meta.components.get(ParameterLocation.BODY) if case.meta is not None else None
    if component is None or component.mode is not schemathesis.GenerationMode.NEGATIVE:
        return None
    return negative_data_rejection(ctx, response, case)


CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    wrong_bodies_are_refused,
    ignored_auth,
    unsupported_method,
)
"""Not there: that valid requests are accepted (an EVSE must exist) and that what was deleted is gone (rows stay)."""

EXAMPLES = int(os.environ.get("API_EXAMPLES", "12"))
"""Requests for each operation and store, the same ones each time; with API_EXAMPLES as many others as one likes."""


@pytest.fixture
def document(desk):
    return api_app(desk, RateLimits()).openapi()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def resolved(document, thing):
    while "$ref" in thing:
        name = thing["$ref"].removeprefix("#/").split("/")
        thing = document
        for part in name:
            thing = thing[part]
    return thing


def test_the_document_is_open_and_says_that_all_else_is_not(client_of):
    answer = client_of(None).get("/openapi.json")
    assert answer.status_code == 200
    document = answer.json()
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_every_route_is_described(document):
    described = {f"{method} {path}": operation for method, path, operation in operations(document)}
    assert sorted(described) == sorted(OPERATIONS)
    for spec in ROUTES:
        operation = described[f"{spec.method} {spec.documented_path}"]
        assert operation["summary"]
        assert operation["description"]
        assert operation["x-scope"] == spec.scope


def test_every_parameter_field_and_answer_is_described(document):
    for _, path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (path, parameter["name"])
        for status, response in operation["responses"].items():
            assert response["description"], (path, status)
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name


def test_every_problem_of_a_route_has_its_status_schema_and_an_example(document):
    for spec in ROUTES:
        responses = document["paths"][spec.documented_path][spec.method.lower()]["responses"]
        for name in spec.all_problems:
            kind = PROBLEMS[name]
            content = responses[str(kind.status.value)]["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/ProblemOut"}
            assert content["examples"][kind.name]["value"]["type"] == kind.type
        for status, response in responses.items():
            assert set(response["headers"]) >= {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
            assert ("Retry-After" in response["headers"]) == (status in {"429", "503"})


def test_what_only_some_requests_can_be_refused_for_stands_with_these(document):
    for _, path, operation in operations(document):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        fields = set(resolved(document, body).get("properties", ()))
        headers = {each["name"] for each in operation.get("parameters", ())}
        told = operation["responses"]["422"]["content"]["application/problem+json"]["examples"]
        assert ("unknown-evse" in told) == bool(fields & {"evseId", "select"}), path
        assert ("too-many" in told) == ("select" in fields), path
        assert ("key-reused" in told) == ("Idempotency-Key" in headers), path


def test_requests_and_answers_have_examples_that_are_valid(document):
    checked = 0
    store = {"components": document["components"]}
    for _, path, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in itertools.chain.from_iterable(body.get("content", {}).values() for body in bodies):
            schema = resolved(document, media["schema"])
            schema = resolved(document, schema["items"]) if schema.get("type") == "array" else schema
            examples = schema.get("examples") or [each["value"] for each in media.get("examples", {}).values()]
            assert examples, (path, media)
            for example in examples:
                jsonschema.validate(example, {**schema, **store})
                checked += 1
    assert checked > 50


def test_every_reference_in_the_document_leads_somewhere(document):
    def walk(thing):
        if isinstance(thing, dict):
            if "$ref" in thing:
                assert resolved(document, thing)
            for each in thing.values():
                walk(each)
        elif isinstance(thing, list):
            for each in thing:
                walk(each)

    walk(document)


KNOWN = {"id": 1, "evseId": "DE*ABC*E1", "reference": "booking-17"}
"""What is there, so that not every request ends with what is not."""


def test_whatever_is_sent_the_answer_is_as_described(desk, token, made):
    assert made(validTo=soon(days=1))["id"] == KNOWN["id"]
    schema = schemathesis.openapi.from_asgi("/openapi.json", api_app(desk, RateLimits(failures_per_minute=60_000)))
    headers = {"Authorization": f"Bearer {token(requests_per_minute=60_000)}"}
    answered = Counter()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="API_EXAMPLES" not in os.environ,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def send(operation, data):
        mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if mode is schemathesis.GenerationMode.POSITIVE and data.draw(st.booleans()):
            point_at_what_is_there(case)
        answered[case.call_and_validate(headers=headers, checks=CHECKS).status_code] += 1

    for each in OPERATIONS:
        method, path = each.split(" ")
        send(schema[path][method])
    assert answered.total() >= len(OPERATIONS) * EXAMPLES / 2
    assert {200, 404, 422} <= set(answered), answered


def point_at_what_is_there(case):
    for place in (case.path_parameters, case.body if isinstance(case.body, dict) else {}):
        place.update({name: value for name, value in KNOWN.items() if name in place})
