// A scale bar for the middle of the view: a round length of at most so many pixels.
import { h, metres } from "./dom.js";

// Metres on the ground of a pixel of the map.
export function groundPerPixel(lat, zoom) {
  return (40075016.686 * Math.cos((lat * Math.PI) / 180)) / (256 * 2 ** zoom);
}

export function scaleBar(lat, zoom, most = 90) {
  const perPixel = groundPerPixel(lat, zoom);
  const power = 10 ** Math.floor(Math.log10(perPixel * most));
  const length = [5, 2, 1].map((k) => k * power).find((m) => m / perPixel <= most);
  return h("span", { class: "el-scale el-num" }, metres(length), h("i", { style: { width: `${length / perPixel}px` } }));
}
