"""The fixtures of the application's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from duly import Scheduler
from tests.integrations.hosts.orders import app as application


@pytest.fixture
def duly_scheduler() -> Scheduler:
    """The scheduler that the plugin's fixture ``duly`` works with."""
    return application.scheduler


@pytest.fixture(autouse=True)
def empty() -> None:
    application.orders.clear()
    application.outbox.clear()


@pytest.fixture
def client() -> TestClient:
    """A client of the application, without its lifespan."""
    return TestClient(application.app)


@pytest.fixture
def living_client(duly: object) -> Iterator[TestClient]:
    """A client of the application inside its lifespan."""
    with TestClient(application.app) as client:
        yield client
