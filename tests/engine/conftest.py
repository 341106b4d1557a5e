"""An engine over the real demo data."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from earthloom.engine.engine import Engine, open_engine


@pytest.fixture(scope="session")
def engine(demo_data: Path, pack: Path) -> Iterator[Engine]:
    """An engine over the ingested demo pack."""
    opened = open_engine(demo_data, places=pack / "vectors", cache_bytes=256 * 2**20)
    yield opened
    opened.close()
