// One notice: a mark, a bold fact, a reason, what can be done. Kinds: bad, note.
import { h, icon, plural } from "./dom.js";
import { reasons } from "./progress.js";

// reason: a text, or texts and elements in a row; about: what stays the same while the numbers in the text change.
export function notice(kind, about, fact, reason, actions = [], onclose = null) {
  const close = h("button", { class: "el-btn bare", type: "button", "aria-label": "Close", title: "Close", onclick: onclose }, icon("cross"));
  const root = h(
    "div",
    { class: `el-notice ${kind} el-panel`, role: kind === "bad" ? "alert" : "status" },
    h("span", { class: "mark" }, icon(kind === "note" ? "info" : "warn")),
    h(
      "div",
      { class: "el-grow" },
      h("div", { class: "text" }, h("b", {}, fact), " ", reason),
      actions.length > 0 &&
        h("div", { class: "acts" }, actions.map(([text, act]) => h("button", { class: "el-link", type: "button", onclick: act }, text))),
    ),
    onclose && close,
  );
  root.about = about;
  return root;
}

// "3 tiles failed: B08 of S2_A...: file truncated (and 2 other reasons)", or null if none failed. on = { retry(),
// lines(reason), close() }: lines shows the traceback of a user's function.
export function tileErrors(watches, on) {
  const [first, ...rest] = reasons(watches);
  if (!first) return null;
  const cause = first.cause ?? first.reason;
  const tiles = plural(first.tiles, "tile");
  const others = rest.length > 0 ? ` (and ${plural(rest.length, "other reason")})` : "";
  const retry = ["Retry", on.retry];
  switch (first.code) {
    case "unavailable":
      return notice("bad", cause, "The server does not answer.", `What is drawn stays; ${tiles} could not be asked for.`, [retry], on.close);
    case "not-supported":
      return notice("bad", cause, "Not possible on this server.", `${sentence(first.reason)} ${tiles}${others}.`, [], on.close);
    case "unauthorized":
      return notice("bad", cause, "Your sign-in has ended.", `Layers stay; ${tiles}${others}: ${first.reason}`, [retry], on.close);
    case "function-failed": {
      const lines = first.traceback ? [["Show line", () => on.lines(first)]] : [];
      const reason = [...whereIn(first), sentence(first.reason), first.hint && ` ${first.hint}`, ` ${tiles}${others}.`];
      return notice("bad", cause, first.function ? "Your function failed" : "Your function failed:", reason, [...lines, retry], on.close);
    }
    default:
      return notice("bad", cause, `${tiles} failed:`, first.reason + others, [retry], on.close);
  }
}

// Tiles that a busy server will be asked for again; null if there are none.
export function busyServer(watches, onclose) {
  const waiting = watches.flatMap((watch) => [...watch.putOff.values()]);
  if (waiting.length === 0) return null;
  const seconds = Math.max(1, Math.ceil((Math.min(...waiting.map(({ at }) => at)) - performance.now()) / 1000));
  const fact = waiting[0].code === "busy" ? "The server is busy." : sentence(waiting[0].reason);
  const tiles = `${plural(waiting.length, "tile waits", "tiles wait")}; next try in ${seconds} s.`;
  return notice("note", "busy", fact, tiles, [], onclose);
}

// Said after three seconds of waiting; null before.
export function slowTiles(watches, actions, onclose) {
  const busy = watches.filter((watch) => watch.busy);
  const seconds = Math.max(0, ...busy.map((watch) => watch.seconds));
  if (seconds < 3) return null;
  const came = busy.reduce((sum, watch) => sum + watch.came, 0);
  const asked = busy.reduce((sum, watch) => sum + watch.asked, 0);
  return notice("note", "slow", "This is slow:", `${came} of ${asked} tiles after ${Math.floor(seconds)} s.`, actions, onclose);
}

// "in `greenness`, line 4: "
function whereIn({ function: name, line }) {
  return name ? ["in ", h("code", {}, name), line ? `, line ${line}: ` : ": "] : line ? [`line ${line}: `] : [];
}

function sentence(text) {
  return /[.!?\u2026]\s*$/.test(text) ? text.trim() : `${text.trim()}.`;
}
