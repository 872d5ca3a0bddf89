/** The route to events. */
import type { Agent } from "../../../pinhole/index.ts";
import { PINHOLE_EVENT_TYPES, PinholeRefusal } from "../../../pinhole/index.ts";
import type { PinholeHouse } from "../pinhole-door.ts";
import { EventStream } from "./event-stream.ts";
import { DoorError } from "./problem.ts";
import type { PinholeCall, PinholeReply, PinholeRoute, Schema } from "./route.ts";

const TEXT: Schema = { type: "string", maxLength: 512 };

/** Of the stream itself; they come whoever asks for what. */
const STREAM_EVENT_TYPES = ["events.ready", "events.gap"];

/** Who misspells a type would listen in vain. @throws {DoorError} `BAD_REQUEST` */
function readTypes(text: string | undefined): string[] | undefined {
  const known: readonly string[] = [...PINHOLE_EVENT_TYPES, ...STREAM_EVENT_TYPES];
  const types = text?.split(",");
  const unknown = types?.find((type) => !known.includes(type));
  if (unknown === undefined) return types;
  throw new DoorError("BAD_REQUEST", `types: "${unknown}" is none of ${PINHOLE_EVENT_TYPES.join(", ")}.`);
}

/** Lets agents listen, each to a limited number of streams. */
class EventDesk {
  readonly #house: PinholeHouse;
  readonly #bootId: string;
  readonly #counts: Map<string, number> = new Map();

  constructor(house: PinholeHouse, bootId: string) {
    this.#house = house;
    this.#bootId = bootId;
  }

  listen({ agent, query, request, reply }: PinholeCall): PinholeReply {
    const types = readTypes(query["types"]);
    this.#enter(agent);
    const header = request.headers["last-event-id"];
    const after = query["after"] ?? (typeof header === "string" ? header : undefined);
    const wish = { agent, after, types, group: query["group"] };
    reply.hijack();
    reply.raw.once("close", () => this.#leave(agent));
    new EventStream(this.#house.service, this.#bootId, wish, reply.raw);
    return {};
  }

  #enter({ name }: Agent): void {
    const open = this.#counts.get(name) ?? 0;
    const { pinholeListeners } = this.#house.limits;
    if (open >= pinholeListeners) {
      const message = `You listen to ${open} streams of events, and may not listen to more.`;
      throw new PinholeRefusal("QUOTA_EXCEEDED", message);
    }
    this.#counts.set(name, open + 1);
  }

  #leave({ name }: Agent): void {
    const open = (this.#counts.get(name) ?? 1) - 1;
    if (open === 0) this.#counts.delete(name);
    else this.#counts.set(name, open);
  }
}

/** The routes. */
export function eventRoutes(house: PinholeHouse, bootId: string): PinholeRoute[] {
  const desk = new EventDesk(house, bootId);
  return [
    {
      method: "GET",
      path: "/v1/events",
      id: "watch",
      summary: "What happens, as it happens. Goes on behind the event of Last-Event-ID.",
      query: {
        after: { ...TEXT, description: "Id of an event, in place of Last-Event-ID." },
        types: { ...TEXT, description: "Types of events, with commas between them." },
        group: { ...TEXT, description: "Only what concerns this group." },
      },
      answers: {
        200: { description: "A stream of events.", schema: "Event", mediaType: "text/event-stream" },
      },
      problems: ["QUOTA_EXCEEDED"],
      handle: (call) => desk.listen(call),
    },
  ];
}
