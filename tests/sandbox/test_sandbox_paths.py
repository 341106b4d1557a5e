"""What a box can read, and what its code finds set."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from earthloom.base.errors import NotFound
from earthloom.sandbox.box import Box
from earthloom.sandbox.environment import ENVIRONMENT, preload_steps
from earthloom.sandbox.function import Function
from earthloom.sandbox.paths import paths_for
from earthloom.sandbox.plain import PlainBox
from earthloom.sandbox.settings import SandboxSettings

SETTINGS = SandboxSettings(libraries=("numpy",))


def test_only_the_allowed_distributions_and_what_they_need_can_be_read() -> None:
    paths = paths_for(("numpy", "scikit-image"))
    names = {Path(path).name for path in paths.all_readable()}
    assert {"numpy", "scipy", "skimage", "networkx", "PIL"} <= names
    assert not {"site-packages", "dist-packages", "pandas", "rasterio", "fastapi", "pytest"} & names
    assert {"numpy", "skimage", "PIL"} <= set(paths.packages)
    assert dict(paths.versions)["numpy"] == np.__version__


def test_of_ours_only_what_runs_inside_can_be_read() -> None:
    paths = paths_for(("numpy",))
    ours = Path(sys.modules["earthloom"].__file__ or "").parent
    mine = {Path(path).relative_to(ours).as_posix() for path in paths.readable if Path(path).is_relative_to(ours)}
    assert mine == {
        *(
            "__init__.py",
            "base/__init__.py",
            "base/tilecontext.py",
            "base/tilefunction.py",
            "base/tileresult.py",
            "base/openeo_udf.py",
        ),
        *("sandbox/__init__.py", "sandbox/inside"),
    }
    for path in paths.all_readable():
        assert not ours.is_relative_to(path), path
        assert Path(path).exists(), path


def test_a_library_that_is_not_installed_is_named() -> None:
    with pytest.raises(NotFound, match="no-such-library"):
        paths_for(("numpy", "no-such-library"))


def test_libraries_are_loaded_in_advance_if_they_are_allowed() -> None:
    assert preload_steps(("numpy",)) == []
    assert preload_steps(("numpy", "scipy"))[0] == "scipy.ndimage"
    assert "numba" not in preload_steps(("numpy", "scipy"))
    assert preload_steps(("numpy", "bottleneck")) == ["bottleneck"]


def test_code_inside_finds_our_environment_and_equal_hashes(need: Callable[[str], str]) -> None:
    need("bwrap")
    source = """
import os
import sys

def f(img):
    print(sorted(os.environ))
    print(hash("earthloom"), sys.flags.no_site, sys.flags.safe_path, sys.dont_write_bytecode)
    return img
"""
    found = []
    for box in (Box("full", SETTINGS), PlainBox(SETTINGS), PlainBox(SETTINGS)):
        worker = box.worker()
        worker.load(Function(source, "f"), 20)
        variables, flags = (line.text for line in worker.run(np.zeros((2, 2)), deadline_s=10).lines)
        assert set(ENVIRONMENT) <= set(eval(variables)) <= {*ENVIRONMENT, "PWD", "LC_CTYPE"}
        found.append(flags)
        worker.kill()
        box.close()
    assert len(set(found)) == 1
    assert found[0].endswith(" 1 True True")
