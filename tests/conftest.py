"""What all tests share: property tests are not judged by the clock of a busy machine."""

import asyncio

from hypothesis import HealthCheck, settings

from tests.fixtures.databases import drop_templates

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


def pytest_sessionfinish() -> None:
    """Leave nothing on the PostgreSQL server of POSTGRES_URL."""
    asyncio.run(drop_templates())
