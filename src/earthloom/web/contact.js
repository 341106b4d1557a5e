// Whether the servers of the layers answer. A silent one is asked again until it does, at growing intervals: what is
// drawn stays, and what could not be asked for comes by itself. Tells "change" while it is silent, "found" when it is back.
import { notice } from "./notice.js";

const FIRST_PAUSE = 2; // seconds to the first try
const LONGEST_PAUSE = 30;
const ANSWER = 5000; // so long a server may think about an answer [ms]

// addresses() gives those that tell whether a server answers; ontry() is called at each try.
export class Contact extends EventTarget {
  since = null; // the time of its last answer, while it is silent
  next = null; // the time of the next try [ms since the page began]; null while one is under way
  #last = new Date();
  #pause = FIRST_PAUSE;
  #timer = 0;

  constructor(addresses, ontry) {
    super();
    Object.assign(this, { addresses, ontry });
  }

  heard() {
    if (!this.since) this.#last = new Date();
  }

  lost() {
    if (this.since) return;
    this.since = this.#last;
    this.#pause = FIRST_PAUSE;
    this.#wait();
  }

  async try() {
    if (!this.since || this.next === null) return;
    clearTimeout(this.#timer);
    this.next = null;
    this.#tell("change");
    this.ontry();
    const there = await Promise.all([...new Set(this.addresses())].map(answers));
    if (!this.since) return; // stopped meanwhile
    if (!there.every(Boolean)) {
      this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 2);
      this.#wait();
      return;
    }
    this.since = null;
    this.heard();
    this.#tell("found");
  }

  stop() {
    clearTimeout(this.#timer);
    this.since = null;
  }

  #wait() {
    this.next = performance.now() + this.#pause * 1000;
    this.#timer = setTimeout(() => this.try(), this.#pause * 1000);
    this.#tell("change");
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }
}

// "The server has not answered since 14:32. What is drawn stays. Next try in 8 s. Try now"; null while it answers.
export function silentServer(contact, onclose) {
  if (!contact.since) return null;
  const clock = contact.since.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const seconds = contact.next && Math.max(1, Math.ceil((contact.next - performance.now()) / 1000));
  const next = seconds ? `Next try in ${seconds} s.` : "It is asked now.";
  const fact = `The server has not answered since ${clock}.`;
  return notice("bad", "silent", fact, `What is drawn stays. ${next}`, seconds ? [["Try now", () => contact.try()]] : [], onclose);
}

async function answers(address) {
  try {
    const response = await fetch(address, { signal: AbortSignal.timeout(ANSWER), cache: "no-store" });
    return response.status < 500; // a proxy says 502 or 504 for a server that it cannot reach
  } catch {
    return false;
  }
}
