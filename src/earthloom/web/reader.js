// A panel over the map that holds plain text to be read: a traceback, or what a function printed. Only text ever gets in.
import { h, iconButton } from "./dom.js";

// show(what, title, ...content) opens it, or changes what it shows; `shows` tells what that is, or null.
export function reader({ onclose }) {
  const title = h("b", { class: "el-title el-grow el-cut" });
  const page = h("div", { class: "page", tabindex: 0, role: "region" });
  const head = h("div", { class: "el-row top" }, title, iconButton("cross", "Close (Esc)", onclose));
  const root = h("section", { class: "el-panel el-reader", hidden: true }, head, page);
  root.shows = null;
  root.show = (what, name, ...content) => {
    const same = root.shows === what;
    const atEnd = page.scrollHeight - page.scrollTop - page.clientHeight < 4;
    root.shows = what;
    root.hidden = false;
    title.textContent = title.title = name;
    page.setAttribute("aria-label", name);
    page.replaceChildren(...content);
    // The newest line is the last: what was read at the end goes on there.
    if (!same || atEnd) page.scrollTop = page.scrollHeight;
    if (!same) page.focus({ preventScroll: true });
  };
  root.close = () => {
    root.shows = null;
    root.hidden = true;
    page.replaceChildren();
  };
  return root;
}
