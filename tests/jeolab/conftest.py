"""A connected server over the demo data, for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from earthloom.chain import session
from earthloom.client.connect import connect
from earthloom.jeolab import ImageProcess


@pytest.fixture(autouse=True)
def _session(server: str) -> Iterator[None]:
    connected = connect(server)
    yield
    session.use(None)
    connected.close()


@pytest.fixture
def values() -> Callable[[ImageProcess], NDArray[np.float32]]:
    """The values of a chain on the pixels of the scene sentinel2-coast."""
    return lambda p: p.chain.compute().sel(x=slice(443400, 448800), y=slice(4175100, 4169700)).to_numpy()
