"""Functions of notebook cells: their text comes from IPython's own memory of the cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from earthloom.base.errors import InvalidArgument, NotFound


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A shell as the kernel of a notebook has it."""
    made = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    made.run_cell("import numpy as np\nimport earthloom as el\nscene = el.ImageCollection('a').mosaic()")
    yield made
    made.reset(new_session=False)
    InteractiveShell.clear_instance()


def run(shell: InteractiveShell, cell: str) -> Any:
    """The value of a cell's last line; its error is raised."""
    done = shell.run_cell(cell)
    done.raise_error()
    return done.result


def source(shell: InteractiveShell, call: str) -> str:
    """The text that travels."""
    return str(run(shell, f"scene.execute({call}).graph['runudf1']['arguments']['udf']"))


def test_a_function_of_a_cell_with_its_constant_and_helper(shell: InteractiveShell) -> None:
    run(shell, "LIMIT = 3\n")
    run(shell, "def helper(a):\n    return a * LIMIT\n")
    run(shell, "@el.tile_function(margin=3)\ndef f(img, n=1):\n    return helper(img) + np.pi * n\n")
    assert source(shell, "f") == (
        "import numpy as np\n"
        "\n"
        "LIMIT = 3\n"
        "\n"
        "\n"
        "def helper(a):\n"
        "    return a * LIMIT\n"
        "\n"
        "\n"
        "def f(img, n=1):\n"
        "    return helper(img) + np.pi * n\n"
    )


def test_a_cell_that_is_edited_and_run_again_makes_another_text(shell: InteractiveShell) -> None:
    run(shell, "def f(img):\n    return img + 1\n")
    first = run(shell, "scene.execute(f).key")
    run(shell, "def f(img):\n    return img + 2\n")
    assert "img + 2" in source(shell, "f")
    assert run(shell, "scene.execute(f).key") != first
    run(shell, "def f(img):\n    return img + 1   \n\n")
    assert run(shell, "scene.execute(f).key") == first


def test_definition_and_use_in_one_cell(shell: InteractiveShell) -> None:
    chain = run(shell, "g = lambda img: img - 1\nh = lambda img: img\nscene.execute(g)")
    assert chain.graph["runudf1"]["arguments"]["udf"] == "g = lambda img: img - 1\n"


def test_what_only_the_notebook_has_is_refused_by_name(shell: InteractiveShell) -> None:
    run(shell, "class Box: pass\nbox = Box()\ndef f(img):\n    return img * box.n\n")
    with pytest.raises(InvalidArgument, match="box is of type Box"):
        source(shell, "f")
    run(shell, "def g(img):\n    %time img + 1\n    return img\n")
    with pytest.raises(InvalidArgument, match="get_ipython is of type method"):
        source(shell, "g")
    run(shell, "def h(img):\n    display(img)\n    return img\n")
    assert "import display\n" in source(shell, "h")  # the server says that it has no IPython
    run(shell, "def i(img):\n    return imgg\n")
    with pytest.raises(NotFound, match='"imgg"'):
        source(shell, "i")
    with pytest.raises(InvalidArgument, match="alone on its line"):
        source(shell, "lambda img: img")
