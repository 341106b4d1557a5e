"""Any process of ours runs the same functions with the same bytes: a server, a batch task, a worker of Dask."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest

from earthloom.sandbox.function import Function
from earthloom.sandbox.sandbox import Sandbox
from earthloom.sandbox.settings import SandboxSettings

pytestmark = pytest.mark.slow

# Sums, transcendental functions, the order of a set of texts, and a filter of scipy.
SOURCE = """
import numpy as np
from scipy import ndimage

def f(img, names):
    weights = [len(n) + i for i, n in enumerate({*names})]
    mix = np.tensordot(np.asarray(weights[: len(img)], np.float32), np.sin(img), 1)
    return ndimage.gaussian_filter(mix, 1.5) / np.hypot(img.std(), img.sum(dtype=np.float64))
"""
NAMES = ["B02", "B03", "B04", "B08", "SCL", "cloud", "shadow"]


def digest() -> str:
    """SHA-256 of what the function gives in a sandbox of this process."""
    img = np.random.default_rng(7).random((4, 200, 200), np.float32)
    sandbox = Sandbox(SandboxSettings(libraries=("numpy", "scipy"), first_s=60))
    try:
        result = sandbox.call("anna", Function(SOURCE, "f"), img, arguments={"names": NAMES}, context={})
    finally:
        sandbox.close()
    return sha256(result.tobytes()).hexdigest()


def test_another_process_gives_the_same_bytes() -> None:
    program = f"import runpy; print(runpy.run_path({__file__!r})['digest']())"
    others = {
        subprocess.run(
            [sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        ).stdout.strip()
        for _ in range(2)
    }
    assert others == {digest()}
