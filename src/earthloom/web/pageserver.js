// The server as its page asks it: addresses beside the page's own, so that it works behind any prefix of a proxy, and
// the token in a header. A token that came in the page's address is taken out of it at once; the tab keeps it.
import { refusal } from "./tiles.js";

export function pageServer() {
  const own = new URL(location.href);
  const kept = `earthloom-token ${own.pathname}`;
  const given = own.searchParams.get("token");
  if (given) {
    sessionStorage.setItem(kept, given);
    own.searchParams.delete("token");
    history.replaceState(null, "", own);
  }
  const address = (path) => new URL(path, document.baseURI).href;
  const server = {
    headers: {},
    address,
    // For the tools and tiles of others: with places for z, x and y.
    template: (path) => `${address("")}${path}`,
    signIn(token) {
      if (token) sessionStorage.setItem(kept, token);
      const now = sessionStorage.getItem(kept);
      server.headers = now ? { Authorization: `Bearer ${now}` } : {};
    },
    ask: (path, signal) => fetch(address(path), { signal, headers: server.headers }),
    // The JSON of a route: { document } or { error: { code, reason, ... } }.
    async json(path) {
      try {
        const response = await server.ask(path, AbortSignal.timeout(30_000));
        return response.ok ? { document: await response.json() } : { error: await refusal(response) };
      } catch {
        return { error: { code: "unavailable", reason: "the server does not answer" } };
      }
    },
    // The address of a picture; null if it cannot be had.
    async picture(path) {
      try {
        const response = await server.ask(path);
        return response.ok ? URL.createObjectURL(await response.blob()) : null;
      } catch {
        return null;
      }
    },
  };
  server.signIn();
  return server;
}
