// Small functions: make elements and icons, print numbers and places. No state, no dependency.

const SVG = new Set(["svg", "path", "g", "rect", "line", "circle", "text", "title"]);

// h("div", { class: "a", onclick: f, style: { left: "4px" } }, "text", child): null and false children are left out.
export function h(tag, attributes = {}, ...children) {
  const element = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    const aria = name.startsWith("aria-"); // here "false" is a value, elsewhere false means absent
    if (value == null || (value === false && !aria)) continue;
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (name === "style" && typeof value === "object") {
      for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
    } else {
      element.setAttribute(name, value === true && !aria ? "" : value);
    }
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

// Strokes in a box of 16 x 16.
const ICONS = {
  chain: "M6.6 9.4l2.8-2.8M7.4 4.8l1.4-1.4a2.7 2.7 0 0 1 3.8 3.8l-1.4 1.4M8.6 11.2l-1.4 1.4a2.7 2.7 0 0 1-3.8-3.8l1.4-1.4",
  cross: "M4 4l8 8M12 4l-8 8",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  eyeoff:
    "M3 3l10 10M6.4 3.7A6 6 0 0 1 8 3.5c4 0 6.5 4.5 6.5 4.5a11 11 0 0 1-1.9 2.4" +
    "M4.1 4.9A10.6 10.6 0 0 0 1.5 8S4 12.5 8 12.5a6 6 0 0 0 2.9-.8",
  full: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  home: "M2.5 7.5L8 3l5.5 4.5M4 6.6V13h8V6.6",
  info: "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2zM8 7.4v3.4M8 5.1v.1",
  layers: "M8 2l6 3.2-6 3.2-6-3.2zM2.4 8.4L8 11.4l5.6-3M2.4 11L8 14l5.6-3",
  lines: "M2.5 4h11M2.5 8h11M2.5 12h6",
  minus: "M3 8h10",
  more: "M3.5 8h.1M8 8h.1M12.5 8h.1",
  plus: "M8 3v10M3 8h10",
  warn: "M8 2.2L14.6 13.5H1.4zM8 6.4v3.4M8 11.7v.1",
};

export function icon(name) {
  return h("svg", { class: "el-icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));
}

export function iconButton(name, label, onclick, kind = "bare", more = {}) {
  const attributes = { class: `el-btn ${kind}`, type: "button", title: label, "aria-label": label, onclick, ...more };
  return h("button", attributes, icon(name));
}

const minus = (text) => text.replace("-", "\u2212");

// A number with so many decimals; a dash where there is none.
export function fixed(value, digits) {
  return value == null || Number.isNaN(value) ? "\u2013" : minus(value.toFixed(digits));
}

// A number with so many significant digits, without zeros at its end: 0.0312, 2854, -4.5.
export function significant(value, digits = 4) {
  if (value == null || Number.isNaN(value)) return "\u2013";
  return Number.isInteger(value) && Math.abs(value) < 1e6 ? minus(String(value)) : minus(String(Number(value.toPrecision(digits))));
}

// An integer with thin spaces between thousands.
export function count(number) {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function placeText(lat, lon, digits = 5) {
  const part = (value, positive, negative) =>
    `${Math.abs(value).toFixed(digits)}\u00b0\u202f${value < 0 ? negative : positive}`;
  return `${part(lat, "N", "S")}  ${part(lon, "E", "W")}`;
}

export function metres(length) {
  if (length < 10) return `${Number(length.toPrecision(2))} m`;
  return length < 1000 ? `${Math.round(length)} m` : `${count(length / 1000)} km`;
}

// Round values between two ends: steps of 1, 2, 2.5 or 5 times a power of ten; and the decimals that they need.
export function ticks(low, high, about = 5) {
  if (low === high) return { at: [low], digits: (String(low).split(".")[1] ?? "").length };
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 2.5, 5, 10].find((k) => k * power >= raw * 0.999);
  const step = factor * power;
  const at = [];
  for (let i = Math.ceil(low / step - 1e-6); i * step <= high + step * 1e-6; i++) at.push(i * step + 0); // + 0: no -0
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (factor === 2.5 ? 1 : 0));
  return { at, digits };
}
