"""Schemathesis over the whole OpenAPI document: nothing that it makes up breaks the service.

A few examples an operation, so that the suite stays quick; `st run …/openapi.json` does more.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from bot.http.app import create_app
from tests.fake_kiku import FakeKiku, listening, wait_for

EXAMPLES = 8
# What a schema cannot say of a question: that it must hold words, and not too many; of messages:
# that one must be the user's. Such a refusal is right although the request keeps to the schema.
_RIGHTLY_REFUSED = {"bad_question", "no_user_message"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    kiku = FakeKiku(tmp_path_factory.mktemp("fuzz"))
    kiku.rebuild = lambda: None  # type: ignore[attr-defined]
    with listening(create_app(kiku)) as base:
        wait_for(lambda: httpx.get(base + "/readyz").status_code == 200)
        yield schemathesis.openapi.from_url(base + "/openapi.json")


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_nothing_breaks(api: schemathesis.BaseSchema, mode: GenerationMode) -> None:
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) >= 20
    for operation in operations:
        check(operation, mode)


def check(operation: schemathesis.APIOperation, mode: GenerationMode) -> None:
    """Calls one operation with made-up requests, right ones or wrong ones, and checks replies."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def run(case: schemathesis.Case) -> None:
        response = case.call()
        excluded = []
        if response.status_code == 413:
            excluded = [CHECKS.get_one("negative_data_rejection")]  # it is one, of its own kind
        if response.status_code == 422 and response.json()["error"]["code"] in _RIGHTLY_REFUSED:
            excluded = [CHECKS.get_one("positive_data_acceptance")]
        case.validate_response(response, excluded_checks=excluded)

    try:
        run()
    except Unsatisfiable:  # there is no wrong request where nothing is asked for
        assert mode is GenerationMode.NEGATIVE
