"""Small pictures of collections."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.mark.parametrize("collection", ["sentinel2-series", "landsat8-itaipu", "elevation", "basemap"])
def test_a_collection_has_a_small_picture(server: str, asker: Any, collection: str) -> None:
    with asker(server) as http:
        answer = http.get(f"/collections/{collection}/thumbnail.png?size=100")
        assert answer.status_code == 200, answer.text
        picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
        assert 90 <= max(picture.shape[:2]) <= 101
        seen = picture[picture[..., 3] > 0][:, :3].astype(int)
        assert len(np.unique(seen, axis=0)) > 10
        assert (np.ptp(seen, axis=1).max() == 0) == (collection == "elevation"), "grey is for single bands"


def test_collections_that_are_none_have_none(server: str, asker: Any) -> None:
    with asker(server) as http:
        answer = http.get("/collections/sentinel2-serie/thumbnail.png")
    assert (answer.status_code, answer.json()["near"][0]) == (404, "sentinel2-series")
