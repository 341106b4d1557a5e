// A legend from the JSON that the server makes from the chain, and the colour that it gives to a value.
//   { kind: "ramp", quantity, unit, range: [low, high], stops: [[value, colour]], beyond: [below, above], ticks }
//   { kind: "classes", quantity, unit, classes: [{ value, label, colour, share }] }
//   { kind: "rgb", quantity, unit, channels: [{ band, range }] x 3 }
// legend(spec).here(value) marks a value (null clears the mark).
import { h, fixed, significant, ticks } from "./dom.js";

export function legend(spec) {
  const root = h("div", { class: "el-legend" });
  if (spec.quantity || spec.unit) {
    root.append(h("div", { class: "cap" }, h("span", { class: "el-cut" }, spec.quantity ?? ""), h("span", {}, spec.unit ?? "")));
  }
  const [body, here] = { ramp, classes, rgb }[spec.kind](spec);
  root.append(body);
  root.here = here;
  return root;
}

function ramp({ quantity, unit, range: [low, high], stops, beyond = [false, false], ticks: about }) {
  const percent = (value) => (low === high ? 50 : 100 * Math.min(1, Math.max(0, (value - low) / (high - low))));
  const left = (value) => `calc(7px + ${percent(value) / 100} * (100% - 14px))`; // 7 px: the arrow ends
  const { at, digits } = ticks(low, high, about);
  const gradient = stops.map(([value, colour]) => `${colour} ${percent(value)}%`).join(", ");
  const mark = h("span", { class: "here", hidden: true });
  const text = (value) => fixed(value, digits);
  const body = h(
    "div",
    { class: "el-ramp", role: "img", "aria-label": `${quantity ?? "values"} from ${significant(low)} to ${significant(high)} ${unit ?? ""}` },
    beyond[0] && h("span", { class: "end lo", style: { background: stops[0][1] }, title: `below ${significant(low)}` }),
    h("span", { class: "bar", style: { background: `linear-gradient(to right, ${gradient})` } }),
    beyond[1] && h("span", { class: "end hi", style: { background: stops.at(-1)[1] }, title: `above ${significant(high)}` }),
    at.map((value) => h("span", { class: "tick", style: { left: left(value) } }, text(value))),
    mark,
  );
  const here = (value) => {
    mark.hidden = typeof value !== "number";
    if (!mark.hidden) mark.style.left = left(value);
  };
  return [body, here];
}

function classes({ classes: list }) {
  const rows = list.map(({ value, label, colour, share }) =>
    h(
      "li",
      { "data-value": value },
      h("span", { class: "el-swatch", style: { background: colour } }),
      h("span", { class: "el-grow el-cut" }, label ?? String(value)),
      share != null && h("span", { class: "el-num el-mute" }, `${share}\u202f%`),
    ),
  );
  const here = (value) => {
    for (const row of rows) row.classList.toggle("here", value != null && row.dataset.value === String(value));
  };
  return [h("ul", { class: "el-classes" }, rows), here];
}

function rgb({ channels }) {
  const names = ["Red", "Green", "Blue"];
  const full = ["#f00", "#0f0", "#00f"];
  const body = h(
    "div",
    { class: "el-rgb" },
    channels.flatMap(({ band, range: [low, high] }, i) => [
      h("span", {}, names[i]),
      h("span", { class: "el-mono el-cut" }, band),
      h("i", { style: { background: `linear-gradient(to right, #000, ${full[i]})` } }),
      h("span", { class: "el-num" }, `${significant(low, 3)} \u2013 ${significant(high, 3)}`),
    ]),
  );
  return [body, () => {}];
}

// The colour of a value, or null: between two stops it is mixed as CSS and the painter do, in sRGB.
export function colourOf(spec, value) {
  if (value == null) return null;
  if (spec?.kind === "classes") return spec.classes.find((c) => c.value === value)?.colour ?? null;
  if (spec?.kind !== "ramp") return null;
  const above = spec.stops.findIndex(([stop]) => stop >= value);
  if (above === 0) return spec.stops[0][1];
  if (above < 0) return spec.stops.at(-1)[1];
  const [[low, first], [high, second]] = [spec.stops[above - 1], spec.stops[above]];
  return `color-mix(in srgb, ${second} ${(100 * (value - low)) / (high - low)}%, ${first})`;
}
