"""A connected server over the demo data, for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from earthloom.chain import session
from earthloom.client.connect import connect


@pytest.fixture(autouse=True)
def _session(server: str) -> Iterator[None]:
    connected = connect(server)
    yield
    session.use(None)
    connected.close()
