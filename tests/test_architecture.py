"""The import rule, and the five calls of a tile."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_point_downwards():
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_calls_in_life_of_a_tile_exist():
    text = (ROOT / "docs" / "explanation" / "life-of-a-tile.md").read_text(encoding="utf-8")
    calls = re.findall(r"^\d+\. `(earthloom(?:\.\w+)+)\.(\w+(?:\.\w+)?)`", text, re.MULTILINE)
    assert len(calls) == 5
    for module, name in calls:
        thing = importlib.import_module(module)
        for part in name.split("."):
            thing = getattr(thing, part)
        assert callable(thing)
