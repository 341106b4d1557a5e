// The notebook map's parts, over an ipyleaflet Map: layer cards, progress, notices, values under a click, tools, scale.
// The widget stands in a control of the Map and finds Leaflet's own map through the widget manager. What lasts is in
// the traits: layers = [{ id, name, url, point, legend, bbox }], top first; held = { lat, lon }; folded.
import { h, iconButton, significant } from "./dom.js";
import { inspector } from "./inspector.js";
import { layerCard } from "./layers.js";
import { colourOf } from "./legend.js";
import { slowTiles, tileErrors } from "./notice.js";
import { TileWatch, progressLine } from "./progress.js";
import { scaleBar } from "./scale.js";
import { hearTiles, reasonOf } from "./tiles.js";

const REST = 60; // the pointer rests [ms] before its value is asked for

export function render({ model, el }) {
  const ending = new AbortController();
  // Not awaited: Leaflet puts the element into the page only after this function has returned.
  build(model, el, ending.signal).catch((error) => {
    if (!ending.signal.aborted) throw error;
  });
  return () => ending.abort();
}

async function build(model, el, signal) {
  const manager = model.widget_manager;
  const view = await mapViewOf(await manager.get_model(model.get("map_id")), el, signal);
  const map = view.obj;
  const container = map.getContainer();
  const corner = (side) => container.querySelector(`.leaflet-${side.replace(" ", ".leaflet-")}`);
  let layers = []; // as in the trait, with the parts that belong to each

  // --- parts of the page
  const cards = h("div", { class: "cards" });
  const fold = iconButton("layers", "Fold the layers (L)", () => set({ folded: !model.get("folded") }));
  const panel = h("section", { class: "el-panel el-layers", "aria-label": "Layers" },
    h("div", { class: "top" }, h("b", { class: "el-title el-grow" }, "Layers"), fold), cards);
  el.classList.add("el");
  el.replaceChildren(panel);
  const line = progressLine(() => layers.map((layer) => layer.watch));
  line.classList.add("el-map-line");
  const tools = h("div", { class: "leaflet-control el-panel el-tools" },
    iconButton("plus", "Closer (+)", () => map.zoomIn(), "tool"),
    iconButton("minus", "Farther (\u2212)", () => map.zoomOut(), "tool"),
    iconButton("full", "Full screen (F)", fullScreen, "tool"));
  const scale = h("div", { class: "leaflet-control el-map-scale" });
  const inspect = inspector({ onclose: () => set({ held: null }) });
  inspect.classList.add("leaflet-control");
  const say = h("div", { class: "leaflet-control el-say" });
  const pin = h("div", { class: "el-pin", hidden: true });
  container.append(line);
  corner("top left").prepend(tools);
  corner("bottom left").append(inspect, scale);
  corner("bottom right").prepend(say);
  map.getPane("markerPane").append(pin);
  const ours = [line, tools, scale, inspect, say, pin];
  for (const part of [tools, inspect, say]) keepEvents(part);

  // --- layers
  async function syncLayers() {
    const wanted = model.get("layers");
    for (const layer of layers) if (!wanted.some((other) => other.id === layer.id)) layer.end();
    const before = new Map(layers.map((layer) => [layer.id, layer]));
    layers = await Promise.all(wanted.map((described) => before.get(described.id) ?? start(described)));
    cards.replaceChildren(...layers.map((layer) => layer.card));
    layers.forEach((layer, i) => layer.obj.setZIndex(layers.length - i));
    draw();
    values();
  }

  async function start(described) {
    const { obj, model: tiles } = await layerViewOf(view, described.id, signal);
    const watch = new TileWatch();
    const heard = hearTiles(obj, described.url, watch);
    const layer = { ...described, obj, watch, retry: heard.retry, visible: () => tiles.get("visible") };
    const change = (name, value) => {
      tiles.set(name, value);
      tiles.save_changes();
    };
    const state = () => ({ visible: layer.visible(), opacity: tiles.get("opacity"), outside: outside(layer) });
    const on = {
      visible: (yes) => change("visible", yes),
      opacity: (value) => change("opacity", value),
      zoom: () => map.fitBounds(box(layer.bbox)),
      retry: heard.retry,
    };
    layer.card = layerCard(layer, state, on);
    // A hidden layer is taken off the map: with opacity 0, as ipyleaflet leaves it, it would go on asking for tiles.
    const shown = () => {
      if (layer.visible()) map.addLayer(obj);
      else map.removeLayer(obj);
      layer.card.draw();
      values();
    };
    const redraw = () => layer.card.draw();
    tiles.on("change:visible", shown);
    tiles.on("change:opacity", redraw);
    watch.addEventListener("change", drawSoon);
    shown();
    layer.end = () => {
      heard.stop();
      watch.removeEventListener("change", drawSoon);
      tiles.off("change:visible", shown);
      tiles.off("change:opacity", redraw);
    };
    return layer;
  }

  function outside({ bbox }) {
    if (!bbox) return false;
    const seen = map.getBounds();
    return bbox[0] > seen.getEast() || bbox[2] < seen.getWest() || bbox[1] > seen.getNorth() || bbox[3] < seen.getSouth();
  }

  // --- progress and notices: drawn once a frame, however many tiles arrive
  let frame = 0;
  let closed = ""; // the text of the notice that was closed
  let tick = 0;
  function drawSoon() {
    frame ||= requestAnimationFrame(draw);
  }
  function draw() {
    frame = 0;
    line.draw();
    for (const layer of layers) layer.card.draw();
    const watches = layers.map((layer) => layer.watch);
    const close = () => {
      closed = say.textContent;
      say.replaceChildren();
    };
    const retry = () => layers.forEach((layer) => layer.retry());
    const said = tileErrors(watches, [["Retry", retry]], close) ?? slowTiles(watches, [["Zoom in", () => map.zoomIn()]], close);
    if (!said) closed = "";
    if (said?.textContent !== say.textContent) say.replaceChildren(...(said && said.textContent !== closed ? [said] : []));
    clearTimeout(tick);
    if (watches.some((watch) => watch.busy)) tick = setTimeout(drawSoon, 1000);
  }

  // --- values
  let question = new AbortController();
  let pointer = null;
  let rest = 0;
  async function values() {
    const held = model.get("held");
    const place = held ?? pointer;
    question.abort();
    const mine = (question = new AbortController());
    movePin();
    if (!place) {
      inspect.clear();
      for (const layer of layers) layer.card.here(null);
      return;
    }
    inspect.wait(true);
    const asked = layers.filter((layer) => layer.point && layer.visible());
    const rows = await Promise.all(asked.map((layer) => valueRow(layer, place, map.getZoom(), mine.signal)));
    if (mine.signal.aborted) return;
    inspect.wait(false);
    inspect.update({ ...place, held: held != null }, rows);
    asked.forEach((layer, i) => layer.card.here(rows[i].value));
  }
  function movePin() {
    const held = model.get("held");
    pin.hidden = held == null;
    if (held == null) return;
    const { x, y } = map.latLngToLayerPoint([held.lat, held.lon]);
    pin.style.transform = `translate3d(${x}px, ${y}px, 0)`;
  }
  const placeOf = (latlng) => {
    const { lat, lng } = latlng.wrap();
    return { lat, lon: lng };
  };
  function point({ latlng }) {
    clearTimeout(rest);
    if (model.get("held")) return;
    rest = setTimeout(() => {
      pointer = placeOf(latlng);
      values();
    }, REST);
  }
  function leave() {
    clearTimeout(rest);
    pointer = null;
    if (!model.get("held")) values();
  }

  // --- the map's own events, keys, size
  const heard = {
    click: ({ latlng }) => set({ held: placeOf(latlng) }),
    mousemove: point,
    mouseout: leave,
    zoomstart: () => (pin.hidden = true),
    zoomend: values,
    viewreset: movePin,
    moveend: () => {
      scale.replaceChildren(scaleBar(map.getCenter().lat, map.getZoom()));
      drawSoon();
    },
    resize,
  };
  function resize() {
    const { x, y } = map.getSize();
    container.style.setProperty("--el-map-width", `${x}px`);
    container.style.setProperty("--el-map-height", `${y}px`);
    drawSoon();
  }
  function keys(event) {
    if (event.target.closest("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const digit = layers[Number(event.key) - 1];
    const act = {
      Escape: model.get("held") && (() => set({ held: null })),
      Enter: event.target === container && (() => set({ held: placeOf(map.getCenter()) })),
      f: fullScreen,
      l: () => set({ folded: !model.get("folded") }),
    }[event.key];
    const used = digit ? () => digit.card.querySelector(".eye").click() : act;
    // Leaflet hears its own keys at the document, after JupyterLab; this attribute makes JupyterLab pass over them.
    const leaflets = event.target === container && /^(Arrow.*|[-+=_])$/.test(event.key);
    container.toggleAttribute("data-lm-suppress-shortcuts", Boolean(used) || leaflets);
    if (!used) return;
    used();
    event.stopPropagation();
    event.preventDefault();
  }
  function fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else container.requestFullscreen();
  }
  function folded() {
    cards.hidden = model.get("folded");
    fold.setAttribute("aria-expanded", !cards.hidden);
  }
  function set(traits) {
    for (const [name, value] of Object.entries(traits)) model.set(name, value);
    model.save_changes();
  }

  container.addEventListener("keydown", keys, { signal });
  map.on(heard);
  model.on("change:layers", syncLayers);
  model.on("change:held", values);
  model.on("change:folded", folded);
  signal.addEventListener("abort", () => {
    map.off(heard);
    for (const layer of layers) layer.end();
    for (const part of ours) part.remove();
    clearTimeout(tick);
    clearTimeout(rest);
    question.abort();
  });
  folded();
  resize();
  heard.moveend();
  await syncLayers();
}

const box = ([west, south, east, north]) => [[south, west], [north, east]];

// The view of the Map around this element: one Map may be shown in several cells.
async function mapViewOf(model, el, signal) {
  const views = async () => Promise.all(Object.values(model.views));
  return poll(async () => {
    const container = el.closest(".leaflet-container");
    return container && (await views()).find((view) => view.obj?.getContainer() === container);
  }, signal);
}

async function layerViewOf(mapView, id, signal) {
  return poll(async () => (await Promise.all(mapView.layer_views.views)).find((view) => view.model.model_id === id), signal);
}

// ipyleaflet makes its views one after the other and tells nobody when one is ready.
async function poll(find, signal) {
  for (;;) {
    const found = await find();
    if (signal.aborted) throw new Error("the view is gone");
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

// Pointer and wheel events of our parts are not the map's.
function keepEvents(part) {
  for (const name of ["click", "dblclick", "mousedown", "mousemove", "pointerdown", "touchstart", "wheel", "contextmenu"]) {
    part.addEventListener(name, (event) => event.stopPropagation());
  }
}

// One row of the inspector: the values of a layer at a place, before colour.
async function valueRow({ name, point, legend, bbox }, { lat, lon }, zoom, signal) {
  const url = `${point}?lon=${lon.toFixed(7)}&lat=${lat.toFixed(7)}&z=${Math.round(zoom)}`;
  let answer;
  try {
    const response = await fetch(url, { signal });
    answer = await response.json();
    if (!response.ok) return { name, note: reasonOf(answer, response.status).reason };
  } catch {
    return { name, note: "the server does not answer" };
  }
  const numbers = newest(answer);
  if (numbers.every((number) => number == null)) {
    const within = !bbox || (lon >= bbox[0] && lon <= bbox[2] && lat >= bbox[1] && lat <= bbox[3]);
    return { name, note: within ? "masked or no data" : "outside the data" };
  }
  const value = numbers.length === 1 ? numbers[0] : null;
  const shown = numbers.slice(0, 4).map((number) => significant(number));
  const text = shown.join("  ") + (numbers.length > 4 ? " \u2026" : "");
  return { name, value, text, colour: colourOf(legend, value), unit: legend?.unit };
}

// The values as the map shows them: of several dates the newest that has one, for each band.
function newest({ dims, values }) {
  if (dims[0] !== "t") return [values].flat();
  const dates = values.map((one) => [one].flat());
  return dates[0].map((_, band) => dates.map((one) => one[band]).findLast((number) => number != null) ?? null);
}
