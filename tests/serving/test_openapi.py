"""The server against its own description: schemathesis makes requests from it, valid and not."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from server import Server

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]


@pytest.fixture
def described(server: Server):
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


SUPPRESSED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]
schema = schemathesis.pytest.from_fixture("described").exclude(path_regex="unload")


@schema.parametrize()
@settings(max_examples=10, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=SUPPRESSED)
def test_no_request_breaks_the_server(case):
    case.call_and_validate(
        checks=(not_a_server_error, status_code_conformance, response_schema_conformance), timeout=60
    )
