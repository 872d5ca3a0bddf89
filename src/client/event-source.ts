/**
 * Server-sent events, read from a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 */

/** One event. */
export interface SentEvent {
  readonly id: string;
  readonly type: string;
  readonly data: string;
}

/** Longest event, in characters. */
const EVENT_MAX = 1024 * 1024;

/** Takes lines and gives events. */
class EventReader {
  #id = "";
  #type = "";
  #data: string[] = [];

  /** Takes a line; an empty one ends an event. */
  take(line: string): SentEvent | undefined {
    if (line === "") return this.#finish();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id") this.#id = value;
    if (field === "event") this.#type = value;
    if (field === "data") this.#data.push(value);
    return undefined;
  }

  #finish(): SentEvent | undefined {
    const event = { id: this.#id, type: this.#type, data: this.#data.join("\n") };
    const isWhole = this.#data.length > 0;
    this.#type = "";
    this.#data = [];
    return isWhole ? event : undefined;
  }
}

/**
 * Reads events as they come.
 *
 * @throws {Error} when one is longer than a mebibyte, and what the stream throws
 */
export async function* readEvents(chunks: AsyncIterable<string>): AsyncGenerator<SentEvent> {
  const reader = new EventReader();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > EVENT_MAX) throw new Error(`an event is longer than ${EVENT_MAX} characters`);
    for (const line of lines) {
      const event = reader.take(line.endsWith("\r") ? line.slice(0, -1) : line);
      if (event !== undefined) yield event;
    }
  }
}
