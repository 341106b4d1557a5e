// The values of a layer at a place, before colour, as one row of the inspector.
import { significant } from "./dom.js";
import { reasonOf } from "./errors.js";
import { colourOf } from "./legend.js";

export async function valueRow({ name, point, legend, bbox, headers }, { lat, lon }, zoom, signal) {
  const url = new URL(point, document.baseURI); // its query may hold a token
  for (const [key, value] of [["lon", lon.toFixed(7)], ["lat", lat.toFixed(7)], ["z", Math.round(zoom)]]) url.searchParams.set(key, value);
  let answer;
  try {
    const response = await fetch(url, { signal, headers });
    answer = await response.json();
    if (!response.ok) return { name, note: reasonOf(answer, response.status).reason };
  } catch {
    return { name, note: "the server does not answer", silent: true };
  }
  const numbers = newest(answer);
  if (numbers.every((number) => number == null)) {
    const within = !bbox || (lon >= bbox[0] && lon <= bbox[2] && lat >= bbox[1] && lat <= bbox[3]);
    return { name, note: within ? "masked or no data" : "outside the data" };
  }
  const value = numbers.length === 1 ? numbers[0] : null;
  return { name, value, text: textOf(numbers), colour: colourOf(legend, value), unit: legend?.unit, dates: datesOf(answer) };
}

const textOf = (numbers) => numbers.slice(0, 4).map((number) => significant(number)).join("  ") + (numbers.length > 4 ? " \u2026" : "");

// Of several dates each with its values, the newest first: [["2020-06-01", "0.1  0.2"]]; without any, the text is null.
function datesOf({ dims, labels, values }) {
  if (dims[0] !== "t" || values.length < 2) return null;
  const rows = values.map((one, i) => {
    const numbers = [one].flat();
    return [labels.t[i].slice(0, 10), numbers.every((number) => number == null) ? null : textOf(numbers)];
  });
  return rows.reverse();
}

// The values as the map shows them: of several dates the newest that has one, for each band.
function newest({ dims, values }) {
  if (dims[0] !== "t") return [values].flat();
  const dates = values.map((one) => [one].flat());
  return dates[0].map((_, band) => dates.map((one) => one[band]).findLast((number) => number != null) ?? null);
}
