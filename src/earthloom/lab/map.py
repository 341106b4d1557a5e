"""The map of a notebook: chains as layers on an ipyleaflet Map, over a basemap of our own server."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, ClassVar

import ipyleaflet
import traitlets

from earthloom.base.errors import EmptySelection, InvalidArgument, NotFound
from earthloom.base.grid import MAX_ZOOM
from earthloom.chain.build import Chain
from earthloom.chain.collection import ImageCollection
from earthloom.chain.graph import ordered
from earthloom.chain.session import Session, current
from earthloom.chain.steps import short_name
from earthloom.lab.panel import Panel
from earthloom.lab.view import WORLD, Box, Selections, look_at

BASEMAP = "basemap"  # the collection that lies under everything, where the server has it


class Map(ipyleaflet.Map):  # type: ignore[misc]
    """An interactive map; as a cell's last line it shows.

    It is an ipyleaflet Map with layers of chains: ipyleaflet's own layers and controls can be added too. Nothing but
    the server of the chains is asked for tiles.

    Parameters
    ----------
    center
        Latitude and longitude [degree]; without it the map goes to the first layer added.
    zoom
        Zoom level, 0 shows the world.
    height
        Height of the map [px].
    options
        Further traits of `ipyleaflet.Map`.
    """

    _starts_anywhere: ClassVar[tuple[float, float]] = (20.0, 0.0)

    def __init__(
        self,
        center: Sequence[float] | None = None,
        zoom: float | None = None,
        height: int = 500,
        **options: Any,
    ) -> None:
        self._height = height
        self._goes_to_first = center is None and zoom is None
        chosen = {"scroll_wheel_zoom": True, "zoom_control": False, "attribution_control": False} | options
        super().__init__(
            center=list(center or self._starts_anywhere),
            zoom=zoom if zoom is not None else 2 if center is None else 10,
            max_zoom=MAX_ZOOM,
            layers=(),  # else ipyleaflet adds a basemap of another host
            layout={"height": f"{height}px"},
            **chosen,
        )
        self.add_class("el")
        self._panel = Panel(map_id=self.model_id)
        self._selections = Selections()
        super().add(ipyleaflet.AttributionControl(position="bottomright", prefix="Leaflet"))
        super().add(ipyleaflet.WidgetControl(widget=self._panel, position="topright", transparent_bg=True))
        self._add_basemap(current())

    def add(
        self,
        item: Any,
        name: str | None = None,
        opacity: float | None = None,
        visible: bool | None = None,
        index: int | None = None,
    ) -> Any:
        """Show a chain as a layer; a layer of the same name shows the new chain from now on.

        Parameters
        ----------
        item
            A chain, or anything that `ipyleaflet.Map.add` takes.
        name
            What the layer is called; without it, the collection and the last step.
        opacity
            0 (nothing to see) to 1; without it, a new layer has 1, and a layer of the same name keeps what it has.
        visible
            Whether the layer is shown at once; without it, a new layer is, and one of the same name stays as it is.
        index
            Place of one of ipyleaflet's own layers, counted from below; None is on top.

        Returns
        -------
        The layer, a `ChainLayer`; for items of ipyleaflet the map itself.

        Raises
        ------
        EmptySelection
            If the chain selects no items.
        InvalidArgument
            If the item is nothing that a map shows.
        """
        if not isinstance(item, Chain):
            if isinstance(item, ImageCollection):
                raise InvalidArgument("A collection is no picture yet.", hint="Add .mosaic() or .cube() of it.")
            if not isinstance(item, ipyleaflet.Layer | ipyleaflet.Control) and not hasattr(item, "as_leaflet_layer"):
                raise InvalidArgument(f"A map cannot show a {type(item).__name__}.", hint="Add a chain.")
            return super().add(item, index)
        session = current()
        kept = session.register(item.graph)
        key = kept["key"]
        found = self._selections.of(session, item.node)
        if not found.matched:
            near = f" The nearest date that has items is {found.nearest[:10]}." if found.nearest else ""
            raise EmptySelection(f"0 items are selected.{near}", hint="Widen the filters.")
        traits = _tiles(session, key, name or self._free_name(item, key), found.attribution, opacity, visible)
        card = _card(session, key, session.legend(key), found.bbox)
        card |= {"notes": kept["warnings"]}
        if any(node.process_id == "run_udf" for node in ordered(item.node)):
            card |= {"logs": session.address(f"/logs/{key}")}  # a function of the user's may print
        layer = self._put(traits, card)
        if self._goes_to_first:
            self.zoom_to(layer)
        return layer

    def remove(self, item: Any) -> Any:
        """Take a layer off the map, by itself or by its name; or a control of ipyleaflet.

        Raises
        ------
        NotFound
            If no layer has this name.
        """
        return super().remove(self._layer(item) if isinstance(item, str) else item)

    def zoom_to(self, item: Any) -> None:
        """Look at all that a layer shows.

        Parameters
        ----------
        item
            A layer that `add` gave, or its name.

        Raises
        ------
        NotFound
            If no layer has this name, or it is none of a chain.
        """
        layer = self._layer(item) if isinstance(item, str) else item
        cards = [card for card in self._panel.layers if card["id"] == layer.model_id]
        if not cards:
            raise NotFound.name("layer", layer.name, self._names(), within="the map")
        self._goes_to_first = False
        centre, zoom = look_at(cards[0]["bbox"] or WORLD, self._height)
        with self.hold_sync():
            self.center, self.zoom = list(centre), zoom

    def _add_basemap(self, session: Session) -> None:
        collection = ImageCollection(BASEMAP)
        try:
            about = session.search(collection.graph)
        except NotFound:
            return
        # Its pixels are far larger than those of the map: without bilinear they would be seen as squares.
        smooth = collection.mosaic().resample_spatial(method="bilinear")
        chain = smooth.rgb("red", "green", "blue", stretch=(0, 255))
        key = session.put(chain.graph)
        traits = _tiles(session, key, about["title"] or "Basemap", about["attribution"])
        self._put(traits | {"base": True}, _card(session, key, None, None) | {"point": None})

    def _put(self, traits: dict[str, Any], card: dict[str, Any]) -> ChainLayer:
        """A layer on top, or a new chain in the layer that has its name."""
        cards = self._panel.layers
        card |= {"name": traits["name"], "url": traits["url"]}
        old = next((c["id"] for c in cards if c["name"] == card["name"]), None)
        if old is None:
            layer = ChainLayer(**traits)
            super().add(layer)
            self._panel.layers = [card | {"id": layer.model_id}, *cards]
            return layer
        layer = next(other for other in self.layers if other.model_id == old)
        with self._panel.hold_sync():  # the card changes in its place, and is not taken away first
            layer = self._changed(layer, traits)
            self._panel.layers = [card | {"id": layer.model_id} if c["id"] == old else c for c in cards]
        return layer

    def _changed(self, layer: ChainLayer, traits: dict[str, Any]) -> ChainLayer:
        """The layer with other traits: itself where that can be, else a new one in its place."""
        if layer.attribution == traits["attribution"]:
            # For a substitute ipyleaflet would make it and all layers above it anew.
            if layer.url == traits["url"]:
                layer.redraw()  # the chain is the same, but its items may have changed
            with layer.hold_sync():
                for name, value in traits.items():
                    setattr(layer, name, value)
            return layer
        # Leaflet asks for an attribution only when a layer comes and goes.
        new = ChainLayer(**{"opacity": layer.opacity, "visible": layer.visible} | traits)
        super().substitute(layer, new)
        layer.close()
        return new

    def _layer(self, name: str) -> ipyleaflet.TileLayer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise NotFound.name("layer", name, self._names(), within="the map")

    def _names(self) -> list[str]:
        return [layer.name for layer in self.layers if layer.name]

    def _free_name(self, chain: Chain, key: str) -> str:
        """A name for a chain that has none: that of another chain is not taken away from it."""
        name = short_name(chain.graph)
        others = {card["name"] for card in self._panel.layers if f"/{key}/" not in card["url"]}
        count = 2
        free = name
        while free in others:
            free = f"{name} ({count})"
            count += 1
        return free

    @traitlets.observe("layers")
    def _forget_cards(self, change: Any) -> None:
        """What ipyleaflet's own ways took off the map has no card any more."""
        left = {layer.model_id for layer in change["new"]}
        if hasattr(self, "_panel"):
            self._panel.layers = [card for card in self._panel.layers if card["id"] in left]


class ChainLayer(ipyleaflet.TileLayer):  # type: ignore[misc]
    """Tiles of a chain. A layer has no picture of its own: as a cell's last line it says its name."""

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": f'Layer "{self.name}" on the map'}


def _tiles(
    session: Session,
    key: str,
    name: str,
    attribution: str | None,
    opacity: float | None = None,
    visible: bool | None = None,
) -> dict[str, Any]:
    """Traits of the layer of a chain; what is not said is left out."""
    said = {"opacity": opacity, "visible": visible}
    return {trait: value for trait, value in said.items() if value is not None} | {
        "url": session.address(f"/tiles/{key}/{{z}}/{{x}}/{{y}}.png"),
        "name": name,
        "attribution": escape(attribution or ""),  # Leaflet takes it as HTML
        "max_zoom": MAX_ZOOM,
    }


def _card(session: Session, key: str, legend: dict[str, Any] | None, bbox: Box | None) -> dict[str, Any]:
    """What the panel needs beside the layer."""
    return {
        "point": session.address(f"/point/{key}"),
        "logs": None,
        "legend": legend,
        "notes": [],
        "bbox": None if bbox is None else list(bbox),
    }
