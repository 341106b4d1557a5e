"""The map of a notebook: chains as layers on an ipyleaflet Map, over a basemap of our own server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape, unescape
from pathlib import Path
from typing import Any, ClassVar, Self

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
_WIDTH_PX = 900  # of a saved picture, while no browser shows the map


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
        self._panel.on_msg(self._heard)
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
        self._follow()
        key = kept["key"]
        found = self._selections.of(session, item.node)
        if not found.matched:
            near = f" The nearest date that has items is {found.nearest[:10]}." if found.nearest else ""
            raise EmptySelection(f"0 items are selected.{near}", hint="Widen the filters.")
        traits = _tiles(session, key, name or self._free_name(item, key), found.attribution, opacity, visible)
        card = _card(session, key, session.legend(key), found.bbox)
        card |= {"notes": kept["warnings"]}
        if any(node.process_id == "run_udf" for node in ordered(item.node)):
            card |= _addresses(session, key, ["logs"])  # a function of the user's may print
        layer = self._put(session, key, traits, card)
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

    def share(self, item: Any, name: str | None = None) -> str:
        """Show a layer on the page of the server, to all who may ask it; there it stays when this notebook is closed.

        Parameters
        ----------
        item
            A chain, a layer that `add` gave, or the name of one.
        name
            What it is called there; without it, as here. A layer that you shared under this name shows the new chain.

        Returns
        -------
        The address of the page.

        Raises
        ------
        InvalidArgument
            If the item is neither a chain nor the layer of one.
        NotFound
            If no layer has this name.
        """
        if isinstance(item, Chain):
            session = current()
            return session.share(session.put(item.graph), name or short_name(item.graph))
        layer = self._layer(item) if isinstance(item, str) else item
        if not isinstance(layer, ChainLayer):
            raise InvalidArgument(f"A {type(layer).__name__} cannot be shared.", hint="Share a chain or its layer.")
        return layer.session.share(layer.key, name or layer.name)

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

    def save(self, path: str | os.PathLike[str], width: int | None = None, height: int | None = None) -> Path:
        """Write what the map shows now as a PNG: the layers of chains that are visible, and their sources.

        The picture is made of the server's tiles. What else ipyleaflet draws (markers, other layers) is not in it.

        Parameters
        ----------
        path
            File to write, `.png`; one that is there is replaced.
        width
            Width [px]; without it, that of the map in the browser, or 900.
        height
            Height [px]; without it, that of the map.

        Returns
        -------
        The path.

        Raises
        ------
        InvalidArgument
            If the name does not end in `.png`.
        EarthloomError
            If a tile cannot be had; nothing is written then.
        """
        file = Path(path)
        if file.suffix.lower() != ".png":
            raise InvalidArgument(f'A map is saved as PNG, not as "{file.name}".', hint=f"{file.stem}.png")
        from earthloom.lab.picture import Shown, draw  # needs Pillow, which is slow to load

        of_id = {layer.model_id: layer for layer in self.layers}
        ordered = [of_id[card["id"]] for card in reversed(self._panel.layers)]  # the panel may have changed the order
        layers = [layer for layer in ordered if layer.visible]
        credit = " · ".join(dict.fromkeys(unescape(layer.attribution) for layer in layers if layer.attribution))
        seen = self._seen_px()
        picture = draw(
            [Shown(layer.session, layer.key, layer.opacity) for layer in layers],
            self.center,
            round(self.zoom),
            (width or seen[0], height or seen[1]),
            credit,
        )
        part = file.with_name(f".{file.name}.part")
        try:
            picture.save(part, "png")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
        return file

    def _seen_px(self) -> tuple[int, int]:
        """Width and height of the map in the browser, if one shows it."""
        if self.left >= self.right:
            return _WIDTH_PX, self._height
        return round(self.right - self.left), round(self.bottom - self.top)

    def _heard(self, _: Any, message: Any, __: Any) -> None:
        """The browser finds that a server does not answer."""
        if message == {"kind": "silent"}:
            for session in {layer.session for layer in self.layers if isinstance(layer, ChainLayer)}:
                session.renew()
            self._follow()

    def _follow(self) -> None:
        """Give the layers the addresses that their servers have now."""
        layers = {layer.model_id: layer for layer in self.layers if isinstance(layer, ChainLayer)}
        cards = []
        for card in self._panel.layers:
            layer = layers[card["id"]]
            now = _addresses(layer.session, layer.key, [name for name in ("point", "logs") if card[name]])
            cards.append(card | now)
            layer.url = now["url"]
        self._panel.layers = cards

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
        self._put(session, key, traits | {"base": True}, _card(session, key, None, None) | {"point": None})

    def _put(self, session: Session, key: str, traits: dict[str, Any], card: dict[str, Any]) -> ChainLayer:
        """A layer on top, or a new chain in the layer that has its name."""
        cards = self._panel.layers
        card |= {"name": traits["name"]}
        old = next((c["id"] for c in cards if c["name"] == card["name"]), None)
        if old is None:
            layer = ChainLayer(**traits).of(session, key)
            super().add(layer)
            self._panel.layers = [card | {"id": layer.model_id}, *cards]
            return layer
        layer = next(other for other in self.layers if other.model_id == old)
        with self._panel.hold_sync():  # the card changes in its place, and is not taken away first
            layer = self._changed(layer, traits).of(session, key)
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
        super().substitute(layer, new.of(layer.session, layer.key))
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

    session: Session
    key: str

    def of(self, session: Session, key: str) -> Self:
        """Itself, with the server and the key of its chain."""
        self.session, self.key = session, key
        return self

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
        "url": _addresses(session, key)["url"],
        "name": name,
        "attribution": escape(attribution or ""),  # Leaflet takes it as HTML
        "max_zoom": MAX_ZOOM,
    }


def _addresses(session: Session, key: str, routes: Sequence[str] = ()) -> dict[str, str]:
    """Where the browser finds a chain's tiles, whether its server answers, and further routes of the chain."""
    return {
        "url": session.address(f"/tiles/{key}/{{z}}/{{x}}/{{y}}.png"),
        "health": session.address("/health"),
        **{route: session.address(f"/{route}/{key}") for route in routes},
    }


def _card(session: Session, key: str, legend: dict[str, Any] | None, bbox: Box | None) -> dict[str, Any]:
    """What the panel needs beside the layer."""
    return {
        **_addresses(session, key, ["point"]),
        "logs": None,
        "legend": legend,
        "notes": [],
        "bbox": None if bbox is None else list(bbox),
    }
