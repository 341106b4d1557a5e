// Counts the tiles of a layer: asked for, arrived, failed, put off. A source of tiles tells it by start, done, fail, later
// and gone; the parts of the page listen to "change". A failure counts as long as its tile is on the map.
import { h } from "./dom.js";

export class TileWatch extends EventTarget {
  asked = 0;
  came = 0;
  failures = new Map(); // tile -> { reason, code, cause, ... }
  putOff = new Map(); // tile -> { reason, code, at }: a busy server is asked again at this time [ms since the page began]
  #pending = new Set();
  #since = 0;

  start(tile) {
    if (!this.busy) {
      this.asked = this.came = 0;
      this.#since = performance.now();
    }
    if (!this.#pending.has(tile)) this.asked++;
    this.#pending.add(tile);
    this.#forget(tile);
    this.#tell();
  }

  done(tile) {
    if (this.#pending.delete(tile)) this.came++;
    this.#tell();
  }

  fail(tile, error) {
    if (this.#pending.delete(tile)) this.came++;
    this.failures.set(tile, error);
    this.#tell();
  }

  // It is still waited for, but asked for again only `after` so many seconds.
  later(tile, { reason, code, after }) {
    this.putOff.set(tile, { reason, code, at: performance.now() + after * 1000 });
    this.#tell();
  }

  // The tile left the map, drawn or not.
  gone(tile) {
    if (this.#pending.delete(tile)) this.asked--;
    this.#forget(tile);
    this.#tell();
  }

  get busy() {
    return this.#pending.size > 0;
  }

  // Seconds since the first tile that is still waited for in this batch was asked.
  get seconds() {
    return this.busy ? (performance.now() - this.#since) / 1000 : 0;
  }

  #forget(tile) {
    this.failures.delete(tile);
    this.putOff.delete(tile);
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

// Failures of one cause are one, the most frequent first: [{ reason, code, tiles }].
export function reasons(watches) {
  const groups = new Map();
  for (const error of watches.flatMap((watch) => [...watch.failures.values()])) {
    const cause = error.cause ?? error.reason;
    const group = groups.get(cause) ?? { ...error, tiles: 0 };
    group.tiles++;
    groups.set(cause, group);
  }
  return [...groups.values()].sort((a, b) => b.tiles - a.tiles);
}

// A thin line that fills as tiles arrive and vanishes when all are there; draw() after a change.
export function progressLine(watches) {
  const bar = h("i");
  const root = h("div", { class: "el-line", role: "progressbar", "aria-label": "Tiles", "aria-valuemin": 0, "aria-valuemax": 100 }, bar);
  root.draw = () => {
    const busy = watches().filter((watch) => watch.busy);
    const asked = busy.reduce((sum, watch) => sum + watch.asked, 0);
    const came = busy.reduce((sum, watch) => sum + watch.came, 0);
    const percent = asked ? Math.max(4, (100 * came) / asked) : 0;
    bar.style.width = `${percent}%`;
    root.setAttribute("aria-valuenow", asked ? Math.round(percent) : 100);
    root.title = asked ? `${came} of ${asked} tiles` : "";
  };
  root.draw();
  return root;
}
