/**
 * Lists that are read before anybody can compare them: at the start the kernel writes down what our sets hold
 * while the journal is read, on another processor if there is one.
 *
 * Each part is kept with the time at which it came, because lifetimes in it count from there. A list that is
 * too long to be kept is read anew when it is wanted.
 */
import type { Milliseconds } from "../../base/index.ts";
import { MessageCursor } from "../../netlink/index.ts";
import type { ListEnd, ListVisitor, NetlinkSocket } from "../../system/index.ts";

/** Longest lists that are kept, all together, in bytes: those of half a million elements. */
const KEPT_MAX_BYTES = 1 << 26;

/** What reads lists. */
type Lists = Pick<NetlinkSocket, "list">;

/** A message of a list. */
interface Part {
  readonly bytes: DataView;
  /** When it came, by performance.now(). */
  readonly at: Milliseconds;
  /** How long before that it was written, at most. */
  readonly ageMs: Milliseconds;
}

/** A list that has been read. */
interface Recording {
  readonly parts: readonly Part[];
  readonly end: ListEnd;
}

function nameOf(request: Uint8Array): string {
  return Buffer.from(request).toString("latin1");
}

/** Lists that were read ahead, each to be had once. */
export class Foresight implements Lists {
  readonly #lists: Lists;
  readonly #recordings: Map<string, Recording> = new Map();
  #keptBytes = 0;
  /** When the part came that is being visited; undefined when what is visited comes now. */
  #at: Milliseconds | undefined;
  /** Settled when nothing is being read any more, whether it could be read or not. */
  readonly done: Promise<unknown>;

  /**
   * Begins to read.
   *
   * @param lists - nothing else may be asked of it before {@link Foresight.done}
   * @param requests - each for one list
   */
  constructor(lists: Lists, requests: readonly Uint8Array[]) {
    this.#lists = lists;
    // What could not be read is read when it is wanted, and fails there.
    this.done = this.#read(requests).catch(() => undefined);
  }

  /** A list, as {@link NetlinkSocket.list} reads it: the one that was read ahead, where there is one. */
  async list(request: Uint8Array, visit: ListVisitor): Promise<ListEnd> {
    await this.done;
    const name = nameOf(request);
    const recording = this.#recordings.get(name);
    this.#recordings.delete(name);
    if (recording === undefined) return this.#lists.list(request, visit);
    const cursor = new MessageCursor();
    for (const { bytes, at, ageMs } of recording.parts) {
      this.#at = at;
      cursor.bind(bytes, 0, bytes.byteLength);
      while (cursor.next()) visit(bytes, cursor, ageMs);
    }
    this.#at = undefined;
    return recording.end;
  }

  /** The time at which what is being visited was true, on a clock that says this now. */
  backdate(now: Milliseconds): Milliseconds {
    return this.#at === undefined ? now : now - (performance.now() - this.#at);
  }

  async #read(requests: readonly Uint8Array[]): Promise<void> {
    for (const request of requests) {
      const parts: Part[] = [];
      const end = await this.#lists.list(request, ({ buffer, byteOffset }, cursor, ageMs) => {
        this.#keptBytes += cursor.end - cursor.at;
        if (this.#keptBytes > KEPT_MAX_BYTES) return;
        const bytes = new DataView(buffer.slice(byteOffset + cursor.at, byteOffset + cursor.end));
        parts.push({ bytes, at: performance.now(), ageMs });
      });
      if (this.#keptBytes <= KEPT_MAX_BYTES) this.#recordings.set(nameOf(request), { parts, end });
    }
  }
}
