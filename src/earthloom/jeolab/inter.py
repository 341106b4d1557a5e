"""All names of the original's notation, as `inter.Collection(...)` or by `from earthloom.jeolab import *`."""

from __future__ import annotations

import numpy

from earthloom.jeolab.apps import gui
from earthloom.jeolab.collection import Collection, ImageCollection
from earthloom.jeolab.combinations import S2_LandWater
from earthloom.jeolab.imap import Map
from earthloom.jeolab.paths import Path
from earthloom.jeolab.process import ImageProcess
from earthloom.jeolab.search import collectionsSearch, listImageCollections
from earthloom.jeolab.trial import testExecute

Collections = Collection  # the original's manual writes both
collections = Path()

__all__ = [
    "Collection",
    "Collections",
    "ImageCollection",
    "ImageProcess",
    "Map",
    "S2_LandWater",
    "collections",
    "collectionsSearch",
    "gui",
    "listImageCollections",
    "numpy",
    "testExecute",
]
