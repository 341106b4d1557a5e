// Hears what Leaflet says of a layer's tiles and tells it to a TileWatch. Leaflet knows only that a tile failed, so its
// address is asked once more for the reason; the tile itself is hatched, because it must not look like "no data".
import { reasonOf } from "./errors.js";

const svg = (inside) =>
  `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256">${inside}</svg>`)}`;
export const HATCH = svg(
  '<defs><pattern id="p" width="16" height="16" patternUnits="userSpaceOnUse">' +
    '<path d="M-4 4l8-8M0 16L16 0M12 20l8-8" stroke="#ad2e12" stroke-opacity=".5"/></pattern></defs>' +
    '<rect width="256" height="256" fill="#fff" fill-opacity=".3"/><rect width="256" height="256" fill="url(#p)"/>' +
    '<rect x=".5" y=".5" width="255" height="255" fill="none" stroke="#ad2e12" stroke-opacity=".65"/>',
);
export const EMPTY = svg(""); // while a busy server lets a tile wait

// layer: a Leaflet TileLayer, whose address has {z}, {x}, {y} and may have a query. Gives { stop, retry }.
export function hearTiles(layer, watch) {
  const images = new Map(); // tile -> its image on the map now: what is still asked for another is of no interest
  const failed = new Map(); // tile -> coords
  const drawnBadly = new Set(); // addresses that came with status 200, yet Leaflet could not draw them
  const name = ({ x, y, z }) => `${x}:${y}:${z}`;
  const address = ({ x, y, z }) => {
    const around = 2 ** z; // west and east of the world the same tiles come again
    return layer._url.replace("{z}", z).replace("{x}", ((x % around) + around) % around).replace("{y}", y);
  };
  const begin = (image, coords) => {
    images.set(name(coords), image);
    watch.start(name(coords));
  };
  const draw = (image, coords) => {
    begin(image, coords);
    image.src = address(coords);
  };

  async function ask(image, coords) {
    const tile = name(coords);
    const url = address(coords);
    const there = () => images.get(tile) === image;
    const error = await reasonFor(url);
    if (!there()) return; // it left the map meanwhile, or the layer shows another chain
    if (error.after != null) {
      image.src = EMPTY;
      watch.later(tile, error);
      setTimeout(() => there() && draw(image, coords), error.after * 1000);
    } else if (error.reason === "" && !drawnBadly.has(url)) {
      drawnBadly.add(url);
      draw(image, coords);
    } else {
      failed.set(tile, coords);
      watch.fail(tile, { ...error, reason: error.reason || "the picture cannot be drawn" });
    }
  }
  const forget = ({ coords }) => {
    images.delete(name(coords));
    failed.delete(name(coords));
    watch.gone(name(coords));
  };
  const events = {
    tileloadstart: ({ tile: image, coords }) => begin(image, coords),
    tileload: ({ tile: image, coords }) => image.src !== HATCH && image.src !== EMPTY && watch.done(name(coords)),
    tileerror: ({ tile: image, coords }) => ask(image, coords),
    tileunload: forget,
    tileabort: forget,
  };
  const heard = layer.options.errorTileUrl;
  layer.options.errorTileUrl = HATCH;
  layer.on(events);
  // What Leaflet asked for before we listened.
  for (const { el: image, coords, loaded } of Object.values(layer._tiles ?? {})) {
    if (!loaded) begin(image, coords);
    else if (image.naturalWidth === 0) draw(image, coords);
  }
  return {
    retry() {
      const again = [...failed];
      failed.clear();
      for (const [tile, coords] of again) draw(images.get(tile), coords);
    },
    stop() {
      images.clear();
      layer.off(events);
      layer.options.errorTileUrl = heard;
    },
  };
}

// As `reasonOf`; an empty reason if it answers well now; `after` in seconds if the server wants to be asked again.
async function reasonFor(url) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    return { code: "unavailable", reason: "the server does not answer" };
  }
  return response.ok ? { code: "", reason: "" } : refusal(response);
}

// Why the server gave no tile.
export async function refusal(response) {
  const error = await response.json().catch(() => null);
  const after = Number(response.headers.get("Retry-After") ?? error?.where?.retry_after);
  return { ...reasonOf(error, response.status), after: [429, 503].includes(response.status) && after > 0 ? after : null };
}
