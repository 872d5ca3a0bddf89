/**
 * Events as server-sent events.
 *
 * A stream holds nothing but its place in the service's log of events. When a reader is slow it stops there;
 * when he has caught up, he gets what came meanwhile from the log, and if that has forgotten some of it, a
 * gap. So a slow reader costs nobody anything. Ids are `BOOT-SEQUENCE`: who comes back with one goes on
 * behind it, and is told of a gap when the daemon was started anew since.
 */
import type { ServerResponse } from "node:http";
import { type Agent, maySee, type PinholeEventRecord, viewOf } from "../../../pinhole/index.ts";
import type { PinholeService } from "../service.ts";

/** What a listener wants to hear of. */
export interface EventWish {
  readonly agent: Agent;
  /** Id of the last event that he has; undefined: from now on. */
  readonly after: string | undefined;
  /** Types; undefined: all. */
  readonly types: readonly string[] | undefined;
  readonly group: string | undefined;
}

/** A sign of life goes out this often, in milliseconds; it is shorter than the idle time of any proxy. */
const HEARTBEAT_MS = 15_000;
const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
} as const;

/** An open stream. */
export class EventStream {
  readonly #service: PinholeService;
  readonly #bootId: string;
  readonly #wish: EventWish;
  readonly #response: ServerResponse;
  readonly #stopListening: () => void;
  readonly #heartbeat: NodeJS.Timeout;
  #position: number;
  #isWoken = false;
  #isBlocked = false;

  /** @param bootId - names this run of the daemon */
  constructor(service: PinholeService, bootId: string, wish: EventWish, response: ServerResponse) {
    this.#service = service;
    this.#bootId = bootId;
    this.#wish = wish;
    this.#response = response;
    this.#position = service.lastEvent;
    response.writeHead(200, HEADERS);
    this.#begin(wish.after);
    this.#stopListening = service.listen(() => this.#wake());
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#heartbeat.unref();
    response.on("drain", () => {
      this.#isBlocked = false;
      this.#pump();
    });
    response.once("close", () => this.#end());
    this.#pump();
  }

  /** Ends the stream. */
  close(): void {
    this.#response.end();
  }

  #begin(after: string | undefined): void {
    const [boot, sequence] = (after ?? "").split("-");
    if (boot === this.#bootId && /^\d{1,15}$/.test(sequence ?? "")) {
      this.#position = Number(sequence);
      return;
    }
    if (after === undefined) this.#write("events.ready", this.#position, this.#resync());
    else this.#tellGap();
  }

  #end(): void {
    this.#stopListening();
    clearInterval(this.#heartbeat);
  }

  /** Many events come in one turn; they are sent in one. */
  #wake(): void {
    if (this.#isWoken || this.#isBlocked) return;
    this.#isWoken = true;
    setImmediate(() => {
      this.#isWoken = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#isBlocked || this.#response.destroyed || this.#response.writableEnded) return;
    const { hasGap, events } = this.#service.missed(this.#position);
    if (hasGap) this.#tellGap();
    for (const event of events) {
      this.#position = event.sequence;
      if (this.#isWanted(event)) this.#write(event.type, event.sequence, this.#words(event));
      if (this.#isBlocked) return;
    }
  }

  #tellGap(): void {
    this.#position = this.#service.lastEvent;
    this.#write("events.gap", this.#position, this.#resync());
  }

  /** What somebody needs who must read everything anew. */
  #resync(): object {
    return { bootId: this.#bootId, generation: this.#service.status.generation };
  }

  #isWanted(event: PinholeEventRecord): boolean {
    const { type, owner, group } = event;
    const { agent, types, group: wanted } = this.#wish;
    if (types !== undefined && !types.includes(type)) return false;
    if (wanted !== undefined && wanted !== (group ?? event.pinhole?.group)) return false;
    return owner === undefined || maySee(agent, owner);
  }

  #words(event: PinholeEventRecord): object {
    const { type, generation, at, pinhole, group, owner, refused, ids, text } = event;
    return {
      type,
      generation,
      at,
      ...(pinhole === undefined ? {} : { pinhole: viewOf(pinhole, this.#service.moment.now) }),
      ...(group === undefined ? {} : { group }),
      ...(owner === undefined ? {} : { owner }),
      ...(refused === undefined ? {} : { refused }),
      ...(ids === undefined ? {} : { ids }),
      ...(text === undefined ? {} : { text }),
    };
  }

  #beat(): void {
    if (!this.#isBlocked) this.#response.write(": still here\n\n");
  }

  #write(type: string, sequence: number, data: object): void {
    const id = `${this.#bootId}-${sequence}`;
    const isTaken = this.#response.write(`id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
    if (!isTaken) this.#isBlocked = true;
  }
}
