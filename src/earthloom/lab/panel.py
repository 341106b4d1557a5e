"""The widget over a map: layer cards with legends, progress, failures, logs of functions, values under a click, tools.

It knows nothing of chains and servers: what it shows is in its traits, what it does is `web/panel.js`.
"""

from __future__ import annotations

import anywidget
import traitlets

from earthloom.lab.join import script, style


class Panel(anywidget.AnyWidget):
    """Stands in a control of an ipyleaflet Map.

    Parameters
    ----------
    map_id
        Model id of the Map: the browser finds Leaflet's own map by it.
    layers
        Layers that have a card, top first: `id` (model id of the TileLayer), `name`, `url` of its tiles, `health` (url
        that tells whether its server answers), `point` (url of its values, or None), `logs` (url of what its functions
        print, or None), `legend` (JSON of the server, or None), `notes` (sentences), `bbox` (west, south, east, north,
        or None).
    held
        The place whose values are held: `lat`, `lon`; None lets go.
    folded
        Whether the list of layers is folded.
    """

    _esm = script("panel")
    _css = style("tokens", "look")

    map_id = traitlets.Unicode().tag(sync=True)
    layers = traitlets.List(traitlets.Dict()).tag(sync=True)
    held = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)
    folded = traitlets.Bool(False).tag(sync=True)
