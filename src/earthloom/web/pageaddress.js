// What the page's address says after "#": zoom/lat/lon/layers. Layers are those that are shown, "+" between them: the
// beginning of a key, and after "@" the opacity in percent if it is not 100. Without layers, all are shown.

const KEY = 12; // characters of a key: enough to tell the layers of one server apart

export function readAddress(hash) {
  const [zoom, lat, lon, list] = hash.replace(/^#/, "").split("/");
  const numbers = [zoom, lat, lon].map(Number);
  const place = lon != null && numbers.every(Number.isFinite) ? { zoom: numbers[0], lat: numbers[1], lon: numbers[2] } : null;
  const shown = list == null ? null : list.split("+").filter(Boolean).map((text) => {
    const [key, percent] = text.split("@");
    return { key, opacity: percent == null ? 1 : Math.min(100, Math.max(0, Number(percent) || 0)) / 100 };
  });
  // What the address says of a layer: { visible, opacity }.
  const stateOf = (key) => {
    const found = shown?.find((one) => one.key && key.startsWith(one.key));
    return { visible: shown == null || found != null, opacity: found?.opacity ?? 1 };
  };
  return { place, stateOf };
}

export function writeAddress({ zoom, lat, lon }, layers) {
  const shown = layers.filter(({ visible }) => visible).map(({ key, opacity }) => {
    const percent = Math.round(opacity * 100);
    return key.slice(0, KEY) + (percent === 100 ? "" : `@${percent}`);
  });
  return `#${zoom}/${lat.toFixed(4)}/${lon.toFixed(4)}/${shown.join("+")}`;
}
