"""What the REST API does is what its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi import checks as of_openapi

from duly import every
from duly.web import local_key, web_app
from tests.web.requests import BODIES
from tests.web.site import Site

CASES = int(os.environ.get("DULY_TEST_API_CASES", "2000"))
"""The number of requests of one run; more of them find more, and take longer."""

KEY = {"Authorization": f"Bearer {'k' * 32}"}
KNOWN = {"job_id": "mine", "name": "default", "key": "shop"}
NOT_CALLED = {"stream_events"}
"""Operations whose response does not end."""


@pytest.fixture
def api(prepared_sqlite_url: str) -> Iterator[tuple[Site, Any]]:
    """A site, and what Schemathesis makes of its document."""
    site = Site(prepared_sqlite_url)
    site.forward(60)
    # Not mounted: a host answers itself where a path has a line break, which Mount does not match.
    app = web_app(site.scheduler, access=local_key(key="k" * 32))
    yield site, schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=KEY)
    site.scheduler.stop(grace=0)


def known_ids(site: Site, operation: Any) -> dict[str, str]:
    """Ids of what is stored, for the parameters in the path of an operation."""
    site.scheduler.start_all()
    site.scheduler.add("greet", every(hours=1), id="mine", replace=True)
    site.scheduler.set_limit("shop", 3)
    ids = KNOWN | {"run_id": site.scheduler.enqueue("greet")}
    return {name: value for name, value in ids.items() if f"{{{name}}}" in operation.path}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_request_breaks_what_the_document_says(api: tuple[Site, Any]) -> None:
    """Thousands of valid and invalid requests: never a 5xx, and every response is as documented.

    The status is documented for the route, the body has the documented type and schema, and what
    the document forbids is refused.
    """
    load_all_checks()
    site, schema = api
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [
        each for each in operations if each.definition.raw["operationId"] not in NOT_CALLED
    ]
    sent: Counter[int] = Counter()
    share = 1 + CASES * 5 // (4 * len(operations))  # some have fewer different requests
    for operation in operations:
        explore(site, operation, share, sent)
    assert sum(sent.values()) >= CASES
    assert {status for status in sent if status >= 500} <= {503}  # only /health/ready may
    assert min(sent[200], sent[404], sent[422]) > CASES / 50


def explore(site: Site, operation: Any, count: int, sent: Counter[int]) -> None:
    """Send requests to an operation: with known ids, with any, and such as are not valid."""
    ids = known_ids(site, operation)
    valid = operation.as_strategy(GenerationMode.POSITIVE, path_parameters=ids or None)
    strategies = [valid, operation.as_strategy(GenerationMode.POSITIVE)]
    body = BODIES.get(operation.definition.raw["operationId"])
    if body is not None:  # hardly any generated text is the name of a task, or a trigger
        strategies.append(
            operation.as_strategy(GenerationMode.POSITIVE, path_parameters=ids or None, body=body)
        )
    if operation.body or operation.query:
        strategies.append(operation.as_strategy(GenerationMode.NEGATIVE))

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(strategies))
    def send(case: Any) -> None:
        response = case.call(headers=KEY)
        sent[response.status_code] += 1
        assert response.status_code < 500 or operation.path.endswith("/health/ready")
        checks = [
            of_openapi.status_code_conformance,
            of_openapi.content_type_conformance,
            of_openapi.response_schema_conformance,
        ]
        sent_query = parse_qs(urlsplit(response.request.url).query, keep_blank_values=True)
        if [""] not in sent_query.values():  # an empty parameter counts as left out
            checks.append(of_openapi.negative_data_rejection)
        case.validate_response(response, checks=checks)

    send()
