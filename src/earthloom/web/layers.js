// A layer's card: visibility, name, opacity, legend, the layer's own progress and failures, what its functions printed.
import { h, icon, iconButton, plural } from "./dom.js";
import { legend } from "./legend.js";
import { progressLine, reasons } from "./progress.js";

// layer = { name, legend, watch }; state() gives { visible, opacity, outside } as they are now;
// on = { visible(yes), opacity(value), zoom(), retry(), log(), move(step) }; without move the order stays. card.draw() after a change, card.here(value) marks the
// legend, card.describe({ legend, notes }) changes what the chain brings, card.log(text) tells how much was printed.
// Where there is room (wide) the opacity stands in the card, else behind its menu.
export function layerCard(layer, state, on, { wide = false } = {}) {
  let open = true;
  let more = false;
  const eye = h("button", { class: "el-btn bare eye", type: "button", onclick: () => on.visible(!state().visible) });
  const name = h("button", { class: "name el-grow el-cut", type: "button", title: layer.name, onclick: () => toggleOpen() }, layer.name);
  const there = h("button", { class: "el-link el-small", type: "button", onclick: on.zoom }, "Go there");
  const menu = iconButton("more", `${on.move ? "Opacity and order" : "Opacity"} of ${layer.name}`, () => toggleMore());
  const failed = h("b", { class: "el-grow" });
  const retry = h("button", { class: "el-link", type: "button", onclick: on.retry }, "Retry");
  const bad = h("div", { class: "el-row el-small bad" }, icon("warn"), failed, retry);
  const slider = opacitySlider(on.opacity);
  const step = (name, by) => h("button", { class: "el-link", type: "button", onclick: () => on.move(by) }, name);
  const order = h("div", { class: "el-row el-small order" }, on.move && [step("Move up", -1), step("Move down", 1)]);
  const log = h("button", { class: "el-link", type: "button", onclick: on.log });
  const printed = h("div", { class: "el-row el-small printed", hidden: true }, icon("lines"), log);
  const remarks = h("div", { class: "el-small el-mute notes" });
  let key = null;
  const body = h("div", { class: "body" }, bad, printed, remarks, slider, order);
  const line = progressLine(() => [layer.watch]);
  line.classList.add("line");
  const root = h("article", { class: "el-layer", "aria-label": layer.name }, h("div", { class: "head" }, eye, name, there, menu), body, line);

  function toggleOpen() {
    open = !open;
    root.draw();
  }
  function toggleMore() {
    more = !more;
    open = open || more;
    root.draw();
  }
  menu.hidden = wide;
  root.draw = () => {
    const { visible, opacity, outside } = state();
    root.classList.toggle("off", !visible);
    root.classList.toggle("away", outside);
    eye.replaceChildren(icon(visible ? "eye" : "eyeoff"));
    eye.setAttribute("aria-pressed", visible);
    eye.setAttribute("aria-label", `${visible ? "Hide" : "Show"} ${layer.name}`);
    name.setAttribute("aria-expanded", open && !outside);
    menu.setAttribute("aria-expanded", more);
    there.hidden = !outside;
    body.hidden = !open || outside;
    slider.hidden = wide ? !visible : !more;
    slider.set(opacity);
    order.hidden = !more || !on.move;
    const tiles = layer.watch.failures.size;
    bad.hidden = tiles === 0;
    failed.textContent = `${plural(tiles, "tile")} failed`;
    bad.title = reasons([layer.watch])[0]?.reason ?? "";
    line.draw();
  };
  root.here = (value) => key?.here(value);
  root.describe = ({ legend: spec, notes = [] }) => {
    remarks.replaceChildren(...notes.map((text) => h("p", {}, text)));
    key?.remove();
    key = spec && legend(spec);
    if (key) body.append(key);
  };
  root.log = (text) => {
    printed.hidden = text === "";
    log.textContent = text;
  };
  root.describe(layer);
  root.draw();
  return root;
}

function opacitySlider(oninput) {
  const output = h("output");
  const range = h("input", { type: "range", min: 0, max: 100, "aria-label": "Opacity", oninput: () => oninput(range.value / 100) });
  const root = h("div", { class: "el-opacity" }, h("span", {}, "Opacity"), range, output);
  root.set = (value) => {
    const percent = Math.round(value * 100);
    range.value = percent;
    range.style.setProperty("--f", `${percent}%`);
    output.textContent = `${percent}\u202f%`;
  };
  return root;
}
