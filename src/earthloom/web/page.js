// The server's page: its shared layers on a map over the whole window, with cards, values, progress, failures in words.
import { Contact, silentServer } from "./contact.js";
import { h, iconButton, metres, placeText, plural } from "./dom.js";
import { inspector } from "./inspector.js";
import { layerCard } from "./layers.js";
import { busyServer, slowTiles, tileErrors } from "./notice.js";
import { readAddress, writeAddress } from "./pageaddress.js";
import { basemapSwitch, earthloomMark, emptyList, shareDialog, signInForm } from "./pageparts.js";
import { pageServer } from "./pageserver.js";
import { pageTiles } from "./pagetiles.js";
import { TileWatch, progressLine } from "./progress.js";
import { reader } from "./reader.js";
import { groundPerPixel, scaleBar } from "./scale.js";
import { valueRow } from "./values.js";

const POINTER_RESTS = 60; // before its value is asked for [ms]
const ASK_SHARED = 4000; // what is shared is asked for again [ms]
const WORLD = { zoom: 2, lat: 25, lon: 0 };

export async function startPage(app) {
  const theme = new URLSearchParams(location.search).get("theme");
  if (theme) app.dataset.theme = theme;
  const server = pageServer();
  let address = readAddress(location.hash);
  let layers = []; // top first
  let held = null;
  let pointer = null;
  let known = null; // what was shared when it was last asked for, as text
  let base = null; // the basemap: { tiles, watch, attribution }
  const contact = new Contact(() => [server.address("health")], () => {});
  const drawnThere = () => (base ? [...layers, base] : layers);
  const retryAll = () => drawnThere().forEach(({ tiles }) => tiles.retry());

  // --- parts of the page, in the order of Tab
  const container = h("main", { class: "map", "aria-label": "Map" });
  const list = h("div", { class: "list" });
  const fold = iconButton("layers", "Fold the layers (L)", foldList, "bare", { "aria-expanded": true });
  const foot = h("footer", { class: "el-small el-mute" });
  const side = h("aside", { class: "el-panel side", "aria-label": "Layers" },
    h("header", {}, earthloomMark(), h("b", {}, "Earthloom"), h("span", { class: "el-mute el-small el-grow el-cut" }, location.host), fold), list, foot);
  const inspect = inspector({ onclose: letGo });
  const shareButton = iconButton("chain", "Share this view (S)", share, "tool");
  const right = h("div", { class: "right" }, inspect, h("div", { class: "stack" },
    h("div", { class: "el-panel el-tools" }, shareButton, iconButton("full", "Full screen (F)", fullScreen, "tool")),
    h("div", { class: "el-panel el-tools" },
      iconButton("plus", "Closer (+)", () => map.zoomIn(), "tool"),
      iconButton("minus", "Farther (\u2212)", () => map.zoomOut(), "tool"),
      iconButton("home", "Back to the first view (Home)", goHome, "tool"))));
  const say = h("div", { class: "say" });
  const place = h("span", { class: "el-num place" });
  const scale = h("span");
  const pixel = h("span", { class: "el-mute el-num opt" });
  const progress = h("span", { class: "el-mute el-num opt", role: "status" });
  const credit = h("span", { class: "el-mute el-cut opt" });
  const bar = h("footer", { class: "status" }, place, scale, pixel, progress, h("span", { class: "el-grow" }), credit);
  const line = progressLine(() => drawnThere().map(({ watch }) => watch));
  line.classList.add("el-map-line");
  const read = reader({ onclose: stopReading });
  app.replaceChildren(container, line, side, right, say, bar, read);

  const map = L.map(container, { zoomControl: false, attributionControl: false, minZoom: 1, maxZoom: 22, worldCopyJump: true });
  const pin = L.marker([0, 0], { interactive: false, keyboard: false, icon: L.divIcon({ className: "el-pin", iconSize: null }) });
  const look = ({ zoom, lat, lon }) => map.setView([lat, lon], zoom, { animate: false });
  let home = address.place ?? WORLD;
  look(home);

  // --- layers
  let goesToFirst = address.place == null;
  async function sync(shared) {
    for (const layer of layers) if (!shared.some(({ key }) => key === layer.key)) layer.tiles.remove();
    layers = shared.map((told) => {
      const known = layers.find(({ key }) => key === told.key);
      return known && known.name === told.name ? known : newLayer(told, known);
    });
    list.replaceChildren(...(layers.length > 0 ? layers.map(({ card }) => card) : [emptyList()]));
    layers.forEach((layer, i) => layer.tiles.setZIndex(layers.length - i));
    await Promise.all(layers.map(describe));
    if (goesToFirst && layers.length > 0) {
      goesToFirst = false;
      const bbox = layers[0].bbox;
      if (bbox) map.fitBounds(box4(bbox), { animate: false, paddingTopLeft: wideEnough() ? [316, 0] : [0, 0] });
      home = view();
    }
    for (const layer of layers) show(layer);
    changed();
  }

  function newLayer(told, known) {
    known?.tiles.remove();
    const watch = new TileWatch();
    const layer = { ...told, ...(known ?? address.stateOf(told.key)), name: told.name, watch, legend: null, bbox: null, headers: server.headers };
    layer.described = false;
    layer.point = server.address(`point/${told.key}`);
    layer.tiles = pageTiles(({ z, x, y }) => `tiles/${told.key}/${z}/${x}/${y}.png`, server.ask, watch, { maxZoom: 22, opacity: layer.opacity });
    const state = () => ({ visible: layer.visible, opacity: layer.opacity, outside: outsideView(layer) });
    const on = {
      visible: (yes) => {
        layer.visible = yes;
        show(layer);
        changed();
        values();
      },
      opacity: (value) => {
        layer.opacity = value;
        layer.tiles.setOpacity(value);
        changed();
      },
      zoom: () => map.fitBounds(box4(layer.bbox)),
      retry: () => layer.tiles.retry(),
    };
    layer.card = layerCard(layer, state, on, { wide: true });
    watch.addEventListener("change", () => came(watch));
    return layer;
  }

  function came(watch) {
    if ([...watch.failures.values()].some(({ code }) => code === "unavailable")) contact.lost();
    drawSoon();
  }

  // What the server knows of a layer beside its name. It is asked again until it has answered.
  async function describe(layer) {
    if (layer.described) return;
    const [legend, tiles] = await Promise.all([server.json(`legend/${layer.key}`), server.json(`tiles/${layer.key}/tilejson.json`)]);
    const failed = [legend, tiles].find(({ error }) => error)?.error;
    layer.described = failed == null || !["unavailable", "busy"].includes(failed.code);
    layer.legend = legend.document ?? null;
    layer.bbox = tiles.document?.bounds ?? null;
    layer.attribution = tiles.document?.attribution ?? "";
    const who = layer.who === "local" ? [] : [`Shared by ${layer.who}`];
    layer.card.describe({ legend: layer.legend, notes: [...who, ...(failed && layer.described ? [failed.reason] : [])] });
  }

  function show(layer) {
    if (layer.visible && !outsideView(layer)) map.addLayer(layer.tiles);
    else layer.tiles.remove();
    layer.card.draw();
  }
  function outsideView({ bbox }) {
    if (!bbox) return false;
    const seen = map.getBounds();
    return bbox[0] > seen.getEast() || bbox[2] < seen.getWest() || bbox[1] > seen.getNorth() || bbox[3] < seen.getSouth();
  }

  // --- what is shared, asked for again and again: a layer appears as soon as it is shared
  let nextAsk = 0;
  async function askShared() {
    clearTimeout(nextAsk);
    const { document: told, error } = await server.json("shared");
    clearTimeout(nextAsk);
    if (error?.code === "unauthorized") {
      list.replaceChildren(signInForm(error.reason, "Who runs the server gives you one.", signIn));
      return;
    }
    if (error?.code === "unavailable") {
      contact.lost(); // once it is found, it is asked again
      return;
    }
    nextAsk = setTimeout(askShared, ASK_SHARED);
    if (error) return;
    contact.heard();
    const listed = JSON.stringify(told.layers);
    if (listed !== known || layers.some(({ described }) => !described)) await sync(told.layers);
    known = listed;
  }
  contact.addEventListener("change", drawSoon);
  contact.addEventListener("found", () => {
    askShared();
    retryAll();
    values();
    drawSoon();
  });
  function signIn(token) {
    server.signIn(token);
    for (const { tiles } of layers) tiles.remove();
    layers = [];
    known = null;
    begin();
  }

  // --- progress and notices: drawn once a frame, however many tiles arrive
  let frame = 0;
  let tick = 0;
  let closed = null; // what the notice was about that was closed
  function drawSoon() {
    frame ||= requestAnimationFrame(draw);
  }
  function draw() {
    frame = 0;
    line.draw();
    const watches = drawnThere().map(({ watch }) => watch);
    for (const { card } of layers) card.draw();
    const busy = watches.filter((watch) => watch.busy);
    const sum = (what) => busy.reduce((total, watch) => total + watch[what], 0);
    progress.textContent = busy.length > 0 ? `${sum("came")} of ${sum("asked")} tiles` : "";
    foot.textContent = layers.length > 0
      ? `${plural(layers.filter((layer) => layer.visible && !outsideView(layer)).length, "layer")} drawn, ${layers.length} shared on this server`
      : "";
    foot.hidden = layers.length === 0;
    const close = () => {
      closed = say.firstChild.about;
      say.replaceChildren();
    };
    const on = { retry: retryAll, lines: readLines, close };
    const said = silentServer(contact, close) ?? tileErrors(watches, on) ?? busyServer(watches, close) ??
      slowTiles(watches, [["Zoom in", () => map.zoomIn()]], close);
    if (said?.about !== closed) closed = null; // another cause, or none: it will be told when it comes again
    const shown = closed == null ? said : null;
    if (shown?.textContent !== say.firstChild?.textContent) say.replaceChildren(...(shown ? [shown] : []));
    clearTimeout(tick);
    if (busy.length > 0 || contact.since) tick = setTimeout(drawSoon, 1000);
  }
  function readLines({ cause, function: name, line: number, traceback }) {
    read.show(`line ${cause}`, [name, number && `line ${number}`].filter(Boolean).join(", "), h("pre", {}, traceback));
  }
  function stopReading() {
    const within = read.contains(document.activeElement);
    read.close();
    if (within) container.focus({ preventScroll: true });
  }

  // --- values
  let question = new AbortController();
  let rest = 0;
  async function values() {
    question.abort();
    const mine = (question = new AbortController());
    const at = held ?? pointer;
    if (held) pin.setLatLng([held.lat, held.lon]).addTo(map);
    else pin.remove();
    if (!at) {
      inspect.clear();
      for (const { card } of layers) card.here(null);
      return;
    }
    inspect.wait(true);
    const asked = layers.filter((layer) => layer.visible && !outsideView(layer));
    const rows = await Promise.all(asked.map((layer) => valueRow({ ...layer, headers: server.headers }, at, map.getZoom(), mine.signal)));
    if (mine.signal.aborted) return;
    inspect.wait(false);
    inspect.update({ ...at, held: held != null }, rows);
    if (rows.some((row) => row.silent)) contact.lost();
    asked.forEach(({ card }, i) => card.here(rows[i].value));
  }
  const placeAt = (latlng) => {
    const { lat, lng } = latlng.wrap();
    return { lat, lon: lng };
  };
  function hold(latlng) {
    held = placeAt(latlng);
    values();
  }
  function letGo() {
    held = null;
    values();
  }

  // --- the map's own events
  const view = () => ({ zoom: map.getZoom(), lat: map.getCenter().wrap().lat, lon: map.getCenter().wrap().lng });
  const wideEnough = () => map.getSize().x > 700;
  function changed() {
    if (!goesToFirst) history.replaceState(null, "", writeAddress(view(), layers));
    const credits = [base?.attribution, ...layers.filter((one) => one.visible && !outsideView(one)).map(({ attribution }) => attribution)];
    credit.textContent = [...new Set(credits.filter(Boolean)), "Leaflet"].join(" \u00b7 ");
    credit.title = credit.textContent;
    drawSoon();
  }
  function tellPlace() {
    const { lat, lon } = pointer ?? held ?? view();
    place.textContent = placeText(lat, lon, map.getZoom() > 10 ? 5 : 2);
  }
  function moved() {
    const { lat, zoom } = view();
    scale.replaceChildren(scaleBar(lat, zoom));
    pixel.textContent = `Zoom ${zoom} \u00b7 1 px = ${metres(groundPerPixel(lat, zoom))}`;
    for (const layer of layers) show(layer);
    tellPlace();
    changed();
  }
  function resized() {
    const { x, y } = map.getSize();
    app.style.setProperty("--el-map-width", `${x}px`);
    app.style.setProperty("--el-map-height", `${y}px`);
  }
  map.on({
    click: ({ latlng }) => hold(latlng),
    mousemove: ({ latlng }) => {
      pointer = placeAt(latlng);
      tellPlace();
      clearTimeout(rest);
      if (!held) rest = setTimeout(values, POINTER_RESTS);
    },
    mouseout: () => {
      clearTimeout(rest);
      pointer = null;
      if (!held) values();
    },
    zoomend: values,
    moveend: moved,
    resize: resized,
  });

  // --- basemap
  async function drawBasemap() {
    const { document: about } = await server.json("basemap");
    if (!about || base) return;
    const watch = new TileWatch();
    const path = ({ z, x, y }) => `tiles/${about.key}/${z}/${x}/${y}.png`;
    const tiles = pageTiles(path, server.ask, watch, { maxZoom: 22, zIndex: 0 });
    base = { tiles, watch, attribution: "" };
    watch.addEventListener("change", () => came(watch));
    tiles.addTo(map);
    const told = await server.json(`tiles/${about.key}/tilejson.json`);
    base.attribution = told.document?.attribution ?? "";
    const choose = (name) => (name === about.title ? tiles.addTo(map) : tiles.remove());
    const choices = [{ name: about.title, picture: await server.picture(path({ z: 0, x: 0, y: 0 })) }, { name: "Plain", picture: null }];
    bar.before(basemapSwitch(choices, about.title, choose));
    changed();
  }

  // --- tools and keys
  let dialog = null;
  function share() {
    if (dialog) return closeDialog();
    const top = layers.find(({ visible }) => visible);
    const others = top ? { XYZ: server.template(`tiles/${top.key}/{z}/{x}/{y}.png`), TileJSON: server.address(`tiles/${top.key}/tilejson.json`) } : {};
    const link = server.address("") + writeAddress(view(), layers);
    dialog = shareDialog(link, others, closeDialog);
    right.after(dialog);
    dialog.begin();
    return undefined;
  }
  function closeDialog() {
    dialog.remove();
    dialog = null;
    shareButton.focus();
  }
  function foldList() {
    list.hidden = !list.hidden;
    fold.setAttribute("aria-expanded", !list.hidden);
  }
  function fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen();
  }
  function goHome() {
    look(home);
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key !== "Escape" && event.target.closest("input, textarea, select")) return;
    const digit = layers[Number(event.key) - 1];
    const act = digit ? () => digit.card.querySelector(".eye").click() : {
      Escape: dialog ? closeDialog : read.shows ? stopReading : held && letGo,
      Enter: event.target === container && (() => hold(map.getCenter())),
      Home: goHome,
      f: fullScreen,
      l: foldList,
      s: share,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  addEventListener("hashchange", () => {
    address = readAddress(location.hash);
    if (address.place) look(address.place);
    for (const layer of layers) {
      Object.assign(layer, address.stateOf(layer.key));
      layer.tiles.setOpacity(layer.opacity);
      show(layer);
    }
    changed();
    values();
  });

  async function begin() {
    await askShared();
    await drawBasemap();
  }
  inspect.clear();
  resized();
  moved();
  await begin();
}

const box4 = ([west, south, east, north]) => [[south, west], [north, east]];

const app = document.getElementById("earthloom");
if (app) startPage(app);
