// An EarthloomError as JSON, as the map tells it: { code, cause, reason } and, of a user's function, what of it failed.

const LONGEST = 300; // of a reason [characters]: the message of an exception is the user's, and may be of any length

// Errors of one cause are one reason, whichever block of a file or pixel of a tile their message names. The band and item
// stand in front if the message does not name them.
export function reasonOf(error, status) {
  // A proxy answers for a server that it cannot reach.
  if (!error?.message && [502, 504].includes(status)) return { code: "unavailable", reason: "the server does not answer" };
  if (!error?.message) return { code: "error", reason: `the server answered ${status}` };
  const { band, item, file } = error.where ?? {};
  if (error.code === "function-failed") return functionReason(error);
  const source = [band, item].filter((part) => part && !error.message.includes(part)).join(" of ");
  const cause = item || file ? [error.code, item, file, band].join(" ") : error.message;
  return { code: error.code, cause, reason: cut(source ? `${source}: ${error.message}` : error.message) };
}

// The numbers in a message (an index, a shape, the tile) differ from tile to tile; the cause does not.
function functionReason({ code, message, hint, where }) {
  const { function: name, line, reason: kind, traceback } = where ?? {};
  const cause = [code, kind, name, line, message.replace(/0x[0-9a-f]+|\d+/gi, "")].join(" ");
  return { code, cause, reason: cut(message), hint: cut(hint ?? ""), function: name, line, traceback };
}

function cut(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}\u2026` : text;
}
