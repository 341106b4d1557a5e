// What stands around the page's map: its mark, the texts of an empty list, the sign-in, the link to share, the basemaps.
import { h } from "./dom.js";

export function earthloomMark() {
  const threads = (d, stroke) => h("path", { d, stroke });
  return h("svg", { class: "mark", viewBox: "0 0 22 22", "aria-hidden": "true" },
    threads("M2 6.5h6M14 6.5h6M2 11h2M10 11h10M2 15.5h6M14 15.5h6", "var(--el-accent)"),
    threads("M6.5 2v6.5M6.5 13.5V20M11 2v2M11 9v4M11 18v2M15.5 2v6.5M15.5 13.5V20", "var(--el-ink)"));
}

export function emptyList() {
  return h("div", { class: "said" }, h("b", {}, "No layers are shared yet."),
    h("p", { class: "el-mute" }, "In a notebook, show a chain on a map and share it; it appears here at once."),
    h("code", {}, 'm.share(ndvi, "NDVI")'));
}

// onsign(token) is called with what was typed.
export function signInForm(fact, hint, onsign) {
  const field = h("input", { type: "password", "aria-label": "Token", placeholder: "Token", autocomplete: "off" });
  const submit = (event) => {
    event.preventDefault();
    if (field.value.trim()) onsign(field.value.trim());
  };
  return h("form", { class: "said", onsubmit: submit }, h("b", {}, fact), h("p", { class: "el-mute" }, hint),
    h("div", { class: "el-row" }, field, h("button", { class: "el-btn main", type: "submit" }, "Sign in")));
}

// The link to this view, and the addresses of the top layer for other programs: { XYZ: address, TileJSON: address }.
export function shareDialog(link, others, onclose) {
  const field = h("input", { type: "text", readonly: true, class: "el-mono", "aria-label": "Link" });
  const copy = h("button", { class: "el-btn main", type: "button", onclick: copied }, "Copy");
  field.value = link;
  function copied() {
    field.select();
    // The clipboard's own interface is there on HTTPS and this machine only.
    if (navigator.clipboard) navigator.clipboard.writeText(field.value);
    else document.execCommand("copy");
    copy.textContent = "Copied";
  }
  const show = (address) => () => {
    field.value = address;
    field.select();
    copy.textContent = "Copy";
  };
  const links = Object.entries(others).map(([name, address]) => h("button", { class: "el-link", type: "button", onclick: show(address) }, name));
  const root = h("section", { class: "el-panel dialog", role: "dialog", "aria-label": "Share this view" },
    h("p", { class: "el-title" }, "Share this view"),
    h("p", { class: "el-small el-mute" }, "Place, layers and opacity are in the link. It holds as long as the layers are shared."),
    h("div", { class: "el-row" }, field, copy),
    links.length > 0 && h("p", { class: "el-small" }, "The top layer for QGIS and other tools: ", links.flatMap((one) => [one, "  "])),
    h("p", {}, h("button", { class: "el-link el-small", type: "button", onclick: onclose }, "Close")));
  root.begin = () => field.select();
  return root;
}

// choices: [{ name, picture }], picture an address or null; onchoose(name).
export function basemapSwitch(choices, chosen, onchoose) {
  const buttons = choices.map(({ name, picture }) => {
    const image = picture ? h("img", { src: picture, alt: "" }) : h("span", { class: "plain" });
    return h("button", { type: "button", role: "radio", "data-name": name, onclick: () => choose(name) }, image, name);
  });
  const root = h("div", { class: "el-panel basemaps", role: "radiogroup", "aria-label": "Basemap", onkeydown: step }, buttons);
  function mark(name) {
    for (const button of buttons) {
      const is = button.dataset.name === name;
      button.setAttribute("aria-checked", is);
      button.tabIndex = is ? 0 : -1;
      if (is && root.contains(document.activeElement)) button.focus();
    }
  }
  function choose(name) {
    mark(name);
    onchoose(name);
  }
  function step(event) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const at = buttons.findIndex((button) => button.getAttribute("aria-checked") === "true");
    choose(choices[(at + by + choices.length) % choices.length].name);
  }
  mark(chosen);
  return root;
}
