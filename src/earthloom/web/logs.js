// What the functions of a layer printed and warned of: asked for when tiles have come, counted in words, shown in lines.
import { count, h, plural } from "./dom.js";

const PAUSE = 2000; // at least so long between two questions [ms]
const MOST = 1000; // lines shown; before them stands how many there were

// ask() brings the lines of `url()` soon, once however often it is called; a server that has none to give is not told of.
export function logFeed(url, onlines, signal) {
  let timer = 0;
  let asked = -Infinity;
  async function bring() {
    timer = 0;
    asked = performance.now();
    try {
      const response = await fetch(url(), { signal });
      if (response.ok) onlines((await response.json()).lines);
    } catch {
      return; // the tiles tell that the server is silent
    }
  }
  signal.addEventListener("abort", () => clearTimeout(timer));
  return () => {
    timer ||= setTimeout(bring, Math.max(0, asked + PAUSE - performance.now()));
  };
}

// "12 lines printed, 3 warnings"; empty if there are none. Errors are told by the tiles that failed.
export function logSummary(lines) {
  const of = (...streams) => lines.filter(({ stream }) => streams.includes(stream)).length;
  const parts = [
    [of("stdout", "stderr"), "line printed", "lines printed"],
    [of("warning"), "warning"],
  ];
  return parts.filter(([number]) => number > 0).map((part) => plural(...part)).join(", ");
}

export function logLines(lines) {
  const earlier = lines.length - MOST;
  return [
    earlier > 0 && h("p", { class: "el-small el-mute" }, `${count(earlier)} earlier lines are not shown.`),
    h("table", { class: "log" }, h("tbody", {}, lines.slice(-MOST).map(logRow))),
  ].filter(Boolean);
}

function logRow({ time, place, stream, text }) {
  const clock = new Date(time).toLocaleTimeString("en-GB");
  const kind = stream === "warning" || stream === "error" ? h("b", {}, `${stream}: `) : null;
  return h("tr", {}, h("td", {}, clock), h("td", { title: "Tile: zoom/column/row" }, place), h("td", { class: "el-mono" }, kind, text));
}
