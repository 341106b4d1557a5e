// One notice: a mark, a bold fact, a reason, what can be done. Kinds: bad, note.
import { h, icon, plural } from "./dom.js";
import { reasons } from "./progress.js";

export function notice(kind, fact, reason, actions = [], onclose = null) {
  const close = h("button", { class: "el-btn bare", type: "button", "aria-label": "Close", title: "Close", onclick: onclose }, icon("cross"));
  return h(
    "div",
    { class: `el-notice ${kind} el-panel`, role: kind === "bad" ? "alert" : "status" },
    h("span", { class: "mark" }, icon(kind === "note" ? "info" : "warn")),
    h(
      "div",
      { class: "el-grow" },
      h("b", {}, fact),
      reason && ` ${reason}`,
      actions.length > 0 &&
        h("div", { class: "acts" }, actions.map(([text, act]) => h("button", { class: "el-link", type: "button", onclick: act }, text))),
    ),
    onclose && close,
  );
}

// "3 tiles failed: B08 of S2A_...: file truncated (and 2 other reasons)", or null if none failed.
export function tileErrors(watches, actions, onclose) {
  const [first, ...rest] = reasons(watches);
  if (!first) return null;
  if (first.code === "unavailable") {
    const waiting = `What is drawn stays; ${plural(first.tiles, "tile")} could not be asked for.`;
    return notice("bad", "The server does not answer.", waiting, actions, onclose);
  }
  const others = rest.length > 0 ? ` (and ${plural(rest.length, "other reason")})` : "";
  return notice("bad", `${plural(first.tiles, "tile")} failed:`, first.reason + others, actions, onclose);
}

// Said after three seconds of waiting; null before.
export function slowTiles(watches, actions, onclose) {
  const busy = watches.filter((watch) => watch.busy);
  const seconds = Math.max(0, ...busy.map((watch) => watch.seconds));
  if (seconds < 3) return null;
  const came = busy.reduce((sum, watch) => sum + watch.came, 0);
  const asked = busy.reduce((sum, watch) => sum + watch.asked, 0);
  return notice("note", "This is slow:", `${came} of ${asked} tiles after ${Math.floor(seconds)} s.`, actions, onclose);
}
