// Tiles of the page as a Leaflet GridLayer: fetched with the sign-in's header, given up when they leave the view, told to
// a TileWatch. A failed tile is hatched, because it must not look like "no data".
import { EMPTY, HATCH, refusal } from "./tiles.js";

// address({ x, y, z }) gives a tile's address; ask(address, signal) fetches it. retry() asks for the failed tiles again.
export function pageTiles(address, ask, watch, options) {
  const living = new Map(); // tile -> { image, coords, ending, url: of the picture, bad: whether it failed }
  const name = ({ x, y, z }) => `${x}:${y}:${z}`;

  async function load(one, done) {
    const tile = name(one.coords);
    const { signal } = one.ending;
    one.bad = false;
    watch.start(tile);
    const failed = await picture(one, address(one.coords), signal);
    if (signal.aborted) return;
    if (!failed) {
      watch.done(tile);
    } else if (failed.after != null) {
      one.image.src = EMPTY;
      watch.later(tile, failed);
      setTimeout(() => signal.aborted || load(one, () => {}), failed.after * 1000);
    } else {
      one.bad = true;
      one.image.src = HATCH;
      watch.fail(tile, failed);
    }
    done();
  }

  // Draws the tile; gives why it could not.
  async function picture(one, url, signal) {
    try {
      const response = await ask(url, signal);
      if (!response.ok) return await refusal(response);
      const blob = await response.blob();
      if (signal.aborted) return null;
      one.url = URL.createObjectURL(blob);
      one.image.src = one.url;
    } catch {
      return { code: "unavailable", reason: "the server does not answer", after: null };
    }
    return one.image.decode().then(() => null, () => ({ code: "error", reason: "the picture cannot be drawn", after: null }));
  }

  const Tiles = L.GridLayer.extend({
    createTile(coords, done) {
      const image = document.createElement("img");
      image.alt = "";
      const one = { image, coords, ending: new AbortController() };
      living.set(name(coords), one);
      load(one, () => done(null, image));
      return image;
    },
    // Leaflet calls this when the zoom changes: what is not there yet belongs to a view that nobody sees any more.
    _abortLoading() {
      for (const [key, { coords, loaded }] of Object.entries(this._tiles)) {
        if (!loaded && coords.z !== this._tileZoom) this._removeTile(key);
      }
    },
  });
  const layer = new Tiles({ updateWhenIdle: false, keepBuffer: 1, ...options });
  layer.on("tileunload", ({ tile: image, coords }) => {
    const one = living.get(name(coords));
    if (one?.image !== image) return;
    one.ending.abort();
    if (one.url) URL.revokeObjectURL(one.url);
    living.delete(name(coords));
    watch.gone(name(coords));
  });
  layer.retry = () => {
    for (const one of living.values()) if (one.bad) load(one, () => {});
  };
  return layer;
}
