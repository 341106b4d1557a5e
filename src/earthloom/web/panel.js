// The notebook map's parts, over an ipyleaflet Map: layer cards, progress, notices, values under a click, tools, scale.
// The widget stands in a control of the Map and finds Leaflet's own map through the widget manager. What lasts is in
// the traits: layers = [{ id, name, url, health, point, logs, legend, notes, bbox }], top first; held = { lat, lon }; folded.
import { Contact, silentServer } from "./contact.js";
import { h, iconButton } from "./dom.js";
import { inspector } from "./inspector.js";
import { layerCard } from "./layers.js";
import { logFeed, logLines, logSummary } from "./logs.js";
import { busyServer, slowTiles, tileErrors } from "./notice.js";
import { TileWatch, progressLine } from "./progress.js";
import { reader } from "./reader.js";
import { scaleBar } from "./scale.js";
import { hearTiles } from "./tiles.js";
import { valueRow } from "./values.js";

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
  const living = new Map(); // id -> { ending, ready: the layer, when it has begun }
  // The kernel may start its engine again, and tells then where it is.
  const contact = new Contact(() => layers.map((layer) => layer.health), () => model.send({ kind: "silent" }));

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
  const read = reader({ onclose: stopReading });
  container.append(line, read);
  corner("top left").prepend(tools);
  corner("bottom left").append(inspect, scale);
  corner("bottom right").prepend(say);
  map.getPane("markerPane").append(pin);
  const ours = [line, tools, scale, inspect, say, pin, read];
  for (const part of [tools, inspect, say, read]) keepEvents(part);

  // --- layers: each lives until its own signal ends it
  async function syncLayers() {
    const wanted = model.get("layers");
    for (const id of living.keys()) if (!wanted.some((described) => described.id === id)) end(id);
    for (const described of wanted) {
      if (living.has(described.id)) continue;
      const ending = new AbortController();
      living.set(described.id, { ending, ready: start(described, ending.signal) });
    }
    let found;
    try {
      found = await Promise.all(wanted.map(({ id }) => living.get(id).ready));
    } catch (error) {
      if (error.name === "AbortError") return; // the layers have changed again, and a later call sees to that
      throw error;
    }
    if (wanted !== model.get("layers")) return;
    layers = found;
    layers.forEach((layer, i) => layer.describe(wanted[i]));
    contact.try();
    const focused = cards.contains(document.activeElement) ? document.activeElement : null;
    cards.replaceChildren(...layers.map((layer) => layer.card));
    focused?.focus();
    layers.forEach((layer, i) => layer.obj.setZIndex(layers.length - i));
    const names = layers.map((layer) => `log ${layer.name}`);
    if (read.shows?.startsWith("log ") && !names.includes(read.shows)) stopReading();
    draw();
    values();
  }
  function end(id) {
    living.get(id).ending.abort();
    living.delete(id);
  }

  async function start(described, ended) {
    const layerView = await layerViewOf(view, described.id, ended);
    const { obj, model: tiles } = layerView;
    // A layer below was replaced: ipyleaflet makes those above anew.
    layerView.once("remove", () => {
      if (ended.aborted) return;
      end(described.id);
      syncLayers();
    });
    // A changed address shows the new tiles alone. ipyleaflet's own way keeps the old picture where a new one fails.
    obj.refresh = () => obj.redraw();
    const watch = new TileWatch();
    const heard = hearTiles(obj, watch);
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
      log: () => readLog(layer),
      move: (step) => move(described.id, step),
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
    const askLog = logFeed(() => layer.logs, (lines) => printed(layer, lines), ended);
    let before = { busy: true, came: 0, failures: 0 };
    // Functions have run when all tiles are there; of one that failed the last words are wanted at once.
    const changed = () => {
      const now = { busy: watch.busy, came: watch.came, failures: watch.failures.size };
      if ([...watch.failures.values()].some(({ code }) => code === "unavailable")) contact.lost();
      else if (now.came > before.came && now.failures === before.failures) contact.heard();
      if (layer.logs && ((before.busy && !now.busy) || now.failures > before.failures)) askLog();
      before = now;
      drawSoon();
    };
    layer.lines = [];
    layer.describe = (news) => {
      const { url, logs } = layer;
      const told = JSON.stringify([layer.legend, layer.notes]);
      Object.assign(layer, news);
      if (told !== JSON.stringify([layer.legend, layer.notes])) layer.card.describe(layer);
      if (url !== layer.url && read.shows?.startsWith("line ")) stopReading();
      if (logs && !layer.logs) printed(layer, []);
    };
    tiles.on("change:visible", shown);
    tiles.on("change:opacity", redraw);
    watch.addEventListener("change", changed);
    shown();
    changed();
    ended.addEventListener("abort", () => {
      heard.stop();
      watch.removeEventListener("change", changed);
      tiles.off("change:visible", shown);
      tiles.off("change:opacity", redraw);
    });
    return layer;
  }

  // The order is that of the trait: the cards' and, from the top down, the pictures'.
  function move(id, step) {
    const order = [...model.get("layers")];
    const from = order.findIndex((described) => described.id === id);
    const to = from + step;
    if (to < 0 || to >= order.length) return;
    order.splice(to, 0, ...order.splice(from, 1));
    set({ layers: order });
  }

  function outside({ bbox }) {
    if (!bbox) return false;
    const seen = map.getBounds();
    return bbox[0] > seen.getEast() || bbox[2] < seen.getWest() || bbox[1] > seen.getNorth() || bbox[3] < seen.getSouth();
  }

  // --- progress and notices: drawn once a frame, however many tiles arrive
  let frame = 0;
  let closed = null; // what the notice was about that was closed
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
      closed = say.firstChild.about;
      say.replaceChildren();
    };
    const on = { retry: () => layers.forEach((layer) => layer.retry()), lines: readLines, close };
    const said =
      silentServer(contact, close) ??
      tileErrors(watches, on) ??
      busyServer(watches, close) ??
      slowTiles(watches, [["Zoom in", () => map.zoomIn()]], close);
    if (said?.about !== closed) closed = null; // another cause, or none: it will be told when it comes again
    const shown = closed == null ? said : null;
    if (shown?.textContent !== say.firstChild?.textContent) say.replaceChildren(...(shown ? [shown] : []));
    clearTimeout(tick);
    if (contact.since || watches.some((watch) => watch.busy)) tick = setTimeout(drawSoon, 1000);
  }

  // --- texts to be read: the user's own lines that failed, what functions printed
  function readLines({ cause, function: name, line: number, traceback }) {
    read.show(`line ${cause}`, [name, number && `line ${number}`].filter(Boolean).join(", "), h("pre", {}, traceback));
  }
  function readLog(layer) {
    read.show(`log ${layer.name}`, `${layer.name}: ${logSummary(layer.lines)}`, ...logLines(layer.lines));
  }
  function printed(layer, lines) {
    layer.lines = lines;
    layer.card.log(logSummary(lines));
    if (read.shows === `log ${layer.name}`) readLog(layer);
  }
  function stopReading() {
    const within = read.contains(document.activeElement);
    read.close();
    if (within) container.focus({ preventScroll: true });
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
    if (rows.some((row) => row.silent)) contact.lost();
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
      Escape: read.shows ? stopReading : model.get("held") && (() => set({ held: null })),
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
  contact.addEventListener("change", drawSoon);
  contact.addEventListener("found", () => {
    for (const layer of layers) layer.retry();
    values();
    drawSoon();
  });
  map.on(heard);
  model.on("change:layers", syncLayers);
  model.on("change:held", values);
  model.on("change:folded", folded);
  signal.addEventListener("abort", () => {
    map.off(heard);
    for (const id of [...living.keys()]) end(id);
    for (const part of ours) part.remove();
    contact.stop();
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
    signal.throwIfAborted();
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
