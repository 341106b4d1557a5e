// Values at a place, one row a layer, in a fixed corner, so that nothing runs after the pointer.
// update({ lat, lon, held }, rows): rows = [{ name, colour, text, unit, note, dates }]; without text the note says why.
// dates = [[date, text]] are listed while the place is held.
import { h, iconButton, placeText } from "./dom.js";

export function inspector({ onclose, hint = "Point at the map to read values; click to hold them." } = {}) {
  const head = h("div", { class: "el-row" });
  const body = h("div");
  const root = h("section", { class: "el-panel el-inspect", "aria-label": "Values" }, head, body);
  root.clear = () => {
    head.replaceChildren(h("span", { class: "el-small el-mute" }, hint));
    body.replaceChildren();
  };
  root.wait = (yes) => root.classList.toggle("wait", yes);
  root.update = ({ lat, lon, held }, rows) => {
    body.setAttribute("aria-live", held ? "polite" : "off"); // silent while the pointer moves
    const place = h("span", { class: "el-num el-small el-mute el-grow" }, placeText(lat, lon));
    head.replaceChildren(place, ...(held ? [iconButton("cross", "Let go (Esc)", onclose)] : []));
    body.replaceChildren(h("table", {}, h("tbody", {}, rows.flatMap((one) => [row(one), held && one.dates && dateList(one.dates)]))));
  };
  root.clear();
  return root;
}

function row({ name, colour, text, unit, note }) {
  const value = text == null ? h("span", { class: "el-mute" }, note ?? "no data") : h("b", {}, text);
  const swatch = h("span", { class: "sw", style: { background: colour ?? "transparent" } });
  return h("tr", {}, h("td", { title: name }, swatch, name), h("td", {}, value, text != null && unit ? ` ${unit}` : ""));
}

function dateList(dates) {
  const line = ([date, text]) => h("tr", {}, h("td", {}, date), h("td", {}, text ?? "masked"));
  const list = h("div", { class: "dates", tabindex: 0, role: "region", "aria-label": "Dates" }, h("table", {}, h("tbody", {}, dates.map(line))));
  return h("tr", {}, h("td", { colspan: 2 }, list));
}
