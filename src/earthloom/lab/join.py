"""Joins our ES modules for a notebook widget: its script is one text, loaded from an address without siblings.

The modules in `web/` keep three rules that make so small a joiner enough: imports of siblings only, each on one line;
no renaming and no default export; names at the top level are unique over all modules.
"""

from __future__ import annotations

import re
from pathlib import Path

WEB = Path(__file__).parents[1] / "web"

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.M)
_EXPORT = re.compile(r"^export ", re.M)


def script(entry: str) -> str:
    """The module `entry` and all that it imports as one module, whose default export has the entry's `render`."""
    return "".join(_modules(entry, set())) + "export default { render };\n"


def style(*names: str) -> str:
    """The style sheets of these names as one, in this order."""
    return "".join((WEB / f"{name}.css").read_text("utf-8") for name in names)


def _modules(name: str, seen: set[str]) -> list[str]:
    """Texts of a module's imports, each once and before who needs it, then its own."""
    if name in seen:
        return []
    seen.add(name)
    text = (WEB / f"{name}.js").read_text("utf-8")
    before = [part for sibling in _IMPORT.findall(text) for part in _modules(sibling, seen)]
    return [*before, f"// {name}.js\n", _EXPORT.sub("", _IMPORT.sub("", text))]
