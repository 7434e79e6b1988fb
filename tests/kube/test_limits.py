"""What a pod may use at most, as its template says."""

import pytest

from canary.core.revision import Limits
from canary.kube.session import Json
from canary.kube.sight import limits


@pytest.mark.parametrize(
    ("resources", "wanted"),
    [
        ({}, Limits()),
        ({"requests": {"memory": "64Mi"}}, Limits()),
        ({"limits": {"memory": "64Mi", "cpu": "250m"}}, Limits(64 * 2.0**20, 0.25)),
        ({"limits": {"memory": "1G"}}, Limits(1e9, None)),
        ({"limits": {"cpu": 2}}, Limits(None, 2.0)),
    ],
)
def test_the_limits_are_those_of_the_released_container(resources: Json, wanted: Limits) -> None:
    side = {"name": "side", "resources": {"limits": {"memory": "1Ti", "cpu": "64"}}}
    template = {"spec": {"containers": [side, {"name": "app", "resources": resources}]}}
    assert limits(template, "app") == wanted
