// Hears what Leaflet says of a layer's tiles and tells it to a TileWatch. Leaflet knows only that a tile failed, so its
// address is asked once more for the reason; the tile itself is hatched, because it must not look like "no data".

const HATCH =
  "data:image/svg+xml," +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" width="256" height="256">' +
      '<defs><pattern id="p" width="16" height="16" patternUnits="userSpaceOnUse">' +
      '<path d="M-4 4l8-8M0 16L16 0M12 20l8-8" stroke="#ad2e12" stroke-opacity=".5"/></pattern></defs>' +
      '<rect width="256" height="256" fill="#fff" fill-opacity=".3"/><rect width="256" height="256" fill="url(#p)"/>' +
      '<rect x=".5" y=".5" width="255" height="255" fill="none" stroke="#ad2e12" stroke-opacity=".65"/></svg>',
  );

// layer: a Leaflet TileLayer; template: its address with {z}, {x}, {y}. Gives { stop, retry }.
export function hearTiles(layer, template, watch) {
  const failed = new Map(); // tile -> { image, coords }
  const drawnBadly = new Set(); // came with status 200, yet Leaflet could not draw it
  const name = ({ x, y, z }) => `${x}:${y}:${z}`;
  const address = ({ x, y, z }) => {
    const around = 2 ** z; // west and east of the world the same tiles come again
    return template.replace("{z}", z).replace("{x}", ((x % around) + around) % around).replace("{y}", y);
  };
  const draw = (image, coords) => {
    watch.start(name(coords));
    image.src = address(coords);
  };

  async function ask(image, coords) {
    const tile = name(coords);
    const error = await reasonFor(address(coords));
    if (!watch.waits(tile)) return; // it left the map meanwhile
    if (error.after != null) {
      setTimeout(() => watch.waits(tile) && draw(image, coords), error.after * 1000);
    } else if (error.reason === "" && !drawnBadly.has(tile)) {
      drawnBadly.add(tile);
      draw(image, coords);
    } else {
      failed.set(tile, { image, coords });
      watch.fail(tile, { ...error, reason: error.reason || "the picture cannot be drawn" });
    }
  }
  const forget = ({ coords }) => {
    failed.delete(name(coords));
    watch.gone(name(coords));
  };
  const events = {
    tileloadstart: ({ coords }) => watch.start(name(coords)),
    tileload: ({ tile: image, coords }) => image.src !== HATCH && watch.done(name(coords)),
    tileerror: ({ tile: image, coords }) => ask(image, coords),
    tileunload: forget,
    tileabort: forget,
  };
  const heard = layer.options.errorTileUrl;
  layer.options.errorTileUrl = HATCH;
  layer.on(events);
  // What Leaflet asked for before we listened.
  for (const { el: image, coords, loaded } of Object.values(layer._tiles ?? {})) {
    if (!loaded) watch.start(name(coords));
    else if (image.naturalWidth === 0) draw(image, coords);
  }
  return {
    retry() {
      const again = [...failed.values()];
      failed.clear();
      for (const { image, coords } of again) draw(image, coords);
    },
    stop() {
      layer.off(events);
      layer.options.errorTileUrl = heard;
    },
  };
}

// { code, reason }; an empty reason if it answers well now; `after` in seconds if the server wants to be asked again.
async function reasonFor(url) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    return { code: "unavailable", reason: "the server does not answer" };
  }
  if (response.ok) return { code: "", reason: "" };
  const after = Number(response.headers.get("Retry-After"));
  if (response.status === 503 && after > 0) return { code: "busy", reason: "", after };
  return reasonOf(await response.json().catch(() => null), response.status);
}

// An EarthloomError as JSON in one line; the band and item stand in front if the message does not name them. Errors of
// one cause are one reason, whichever block of a file or pixel of a tile their message names.
export function reasonOf(error, status) {
  if (!error?.message) return { code: "error", reason: `the server answered ${status}` };
  const { band, item, file } = error.where ?? {};
  const source = [band, item].filter((part) => part && !error.message.includes(part)).join(" of ");
  const cause = item || file ? [error.code, item, file, band].join(" ") : error.message;
  return { code: error.code, cause, reason: source ? `${source}: ${error.message}` : error.message };
}
