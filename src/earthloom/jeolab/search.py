"""Which collections there are: lists and a search that print, as the original's do."""

from __future__ import annotations

from typing import cast

from earthloom.chain.session import current
from earthloom.client.api import HttpSession
from earthloom.jeolab.calls import told
from earthloom.jeolab.paths import path_of


@told
def listImageCollections() -> None:
    """Print the path of every collection of the server, and its title."""
    collectionsSearch()


@told
def collectionsSearch(text: str = "", showCodeSnippet: bool = False) -> int:
    """Print the collections whose path, title or description hold a text; their number.

    Parameters
    ----------
    text
        Part of a name; upper and lower case are one. Without it, all collections.
    showCodeSnippet
        Whether to print the line that opens each.
    """
    found = 0
    for document in cast(HttpSession, current()).collections():
        path, title = f"collections.{path_of(document['id'])}", document.get("title") or document["id"]
        if text.casefold() not in f"{path} {document['id']} {title} {document.get('description', '')}".casefold():
            continue
        found += 1
        print(f"{path}  {title}")
        if showCodeSnippet:
            print(f"    coll = inter.ImageCollection({path})")
    return found
