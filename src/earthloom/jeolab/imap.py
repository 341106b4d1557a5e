"""`Map` as the original has it: the map of the notebook with the original's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import ipyleaflet
import ipywidgets
from IPython.display import display

from earthloom.base.errors import EmptySelection, InvalidArgument
from earthloom.chain.build import Chain
from earthloom.chain.session import current
from earthloom.client.api import HttpSession
from earthloom.jeolab.calls import told
from earthloom.jeolab.process import ImageProcess, Key
from earthloom.lab import map as lab
from earthloom.lab.view import look_at

HEIGHT_PX = 400


class Map(lab.Map):
    """An interactive map.

    Parameters
    ----------
    center
        Latitude and longitude [degree]; without it the map goes to the first layer added.
    zoom
        Zoom level, 1 to 18.
    side
        Title; the map is then shown at once under it. JupyterLab's "Create New View for Output" puts it at the side.
    layout
        `ipywidgets.Layout`, of which the height counts, in pixels.
    options
        Further traits of `ipyleaflet.Map`.
    """

    def __init__(
        self,
        center: Sequence[float] | None = None,
        zoom: float | None = None,
        side: str = "",
        layout: Any = None,
        **options: Any,
    ) -> None:
        height = getattr(layout, "height", None) or f"{HEIGHT_PX}px"
        if not (height.endswith("px") and height[:-2].isdigit()):
            raise InvalidArgument(f'Map: the height "{height}" is none in pixels, as "400px".', argument="layout")
        super().__init__(center, zoom, int(height[:-2]), **options)
        if side:
            title = ipywidgets.Label(side, style={"font_weight": "bold"})
            super(lab.Map, self).add(ipyleaflet.WidgetControl(widget=title, position="topleft"))
            display(self)  # type: ignore[no-untyped-call]

    @told
    def addLayer(self, layer: Any, name: str | None = None) -> Any:
        """Show a chain, or the key that `toLayer` gave; the new layer. A layer of the same name is replaced."""
        chain, opacity = _chain_of(layer)
        if chain is None:
            return self.add(layer)
        return self.add(chain, name=name, opacity=opacity)

    def clear(self) -> Map:
        """Take all layers off but the base layer."""
        for layer in self.layers:
            if not layer.base:
                self.remove(layer)
        return self

    @told
    def removeLayerByName(self, name: str) -> Map:
        """Take the layer of this name off."""
        self.remove(name)
        return self

    @told
    def zoomToImageExtent(self, layer: Any) -> Map:
        """Look at all images of a chain, which need not be on the map."""
        chain, _ = _chain_of(layer)
        if chain is None:
            self.zoom_to(layer)
            return self
        box = self._selections.of(current(), chain.node).bbox
        if box is None:
            raise EmptySelection("zoomToImageExtent: the chain selects no images.", hint="Widen the filters.")
        centre, zoom = look_at(box, self._height)
        self._goes_to_first = False
        with self.hold_sync():
            self.center, self.zoom = list(centre), zoom
        return self


def _chain_of(layer: Any) -> tuple[Chain | None, float | None]:
    """The chain that a layer's argument stands for, None for layers of ipyleaflet; its opacity, if one was said."""
    if isinstance(layer, ImageProcess):
        layer = layer.toLayer()
    if isinstance(layer, Key):
        return layer.chain, layer.opacity
    if isinstance(layer, str):
        return Chain.from_graph(cast(HttpSession, current()).graph(layer)), None
    return (layer if isinstance(layer, Chain) else None), None
