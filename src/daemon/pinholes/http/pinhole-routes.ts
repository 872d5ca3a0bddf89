/** Routes about single pinholes, and lists of them. */
import {
  type Agent,
  type Operation,
  type Pinhole,
  type PinholeFilter,
  PinholeRefusal,
  type PinholeView,
  viewOf,
} from "../../../pinhole/index.ts";
import type { PinholeHouse } from "../pinhole-door.ts";
import type { ChangedPinhole, PinholeService } from "../service.ts";
import { readLoneSpec, type SpecWords } from "./operation-words.ts";
import { CHANGE_PROBLEMS, DoorError, LEASE_PROBLEMS } from "./problem.ts";
import type { PinholeCall, PinholeReply, PinholeRoute, Schema } from "./route.ts";
import { SCHEMAS } from "./schema.ts";

const PAGE_MAX = 1000;
const PAGE_DEFAULT = 100;
/** Pinholes that are looked at for a page: who searches for what is not there takes nobody's time. */
const LOOKED_MAX = 4096;
const TEXT: Schema = { type: "string", maxLength: 512 };
const FLAG: Schema = { type: "string", enum: ["true", "false"] };

/** How long a list is: the parameter `limit` of routes that list. */
export const PAGE_QUERY: Readonly<Record<string, Schema>> = {
  cursor: { ...TEXT, description: "As the page before gave it." },
  limit: { type: "string", pattern: "^[1-9][0-9]{0,3}$", description: `Entries on a page, to ${PAGE_MAX}.` },
};

/** Entries on the page that is asked for. */
export function pageSize({ query }: PinholeCall): number {
  return Math.min(PAGE_MAX, Number(query["limit"] ?? PAGE_DEFAULT));
}

const ID: Readonly<Record<string, Schema>> = {
  id: { type: "string", description: "Of the pinhole: its id, or its owner's own." },
};
const ONE = {
  description: "The pinhole.",
  schema: "Pinhole",
  headers: { etag: "Its revision, for If-Match." },
} as const;

function reply(view: PinholeView, status = 200): PinholeReply {
  return { status, headers: { etag: `"${view.revision}"` }, body: view };
}

function filterOf({ query }: PinholeCall): PinholeFilter {
  const { owner, group, state, kind, label } = query;
  const [name, ...value] = (label ?? "").split("=");
  if (label !== undefined && value.length === 0)
    throw new DoorError("BAD_REQUEST", "label must be name=value.");
  return {
    ...(owner === undefined ? {} : { owner }),
    ...(group === undefined ? {} : { group }),
    ...(state === undefined ? {} : { state: state as "reserved" | "enabled" }),
    ...(kind === undefined ? {} : { kind: kind as NonNullable<PinholeFilter["kind"]> }),
    ...(name === undefined || label === undefined ? {} : { labels: { [name]: value.join("=") } }),
  };
}

/** Does things with pinholes one by one. */
class PinholeDesk {
  readonly #service: PinholeService;

  constructor(service: PinholeService) {
    this.#service = service;
  }

  async get({ agent, params, query, request }: PinholeCall): Promise<PinholeReply> {
    const pinhole = await this.#find(agent, params["id"] ?? "");
    if (request.headers["if-none-match"] === `"${pinhole.revision}"` && query["traffic"] !== "true") {
      return { status: 304, headers: { etag: `"${pinhole.revision}"` } };
    }
    const [view] = await this.#views([pinhole], query["traffic"] === "true");
    return reply(view as PinholeView);
  }

  async list(call: PinholeCall): Promise<PinholeReply> {
    const { agent, query } = call;
    const filter = filterOf(call);
    const page = await this.#service.read((store) =>
      store.list(agent, filter, query["cursor"] ?? "", { count: pageSize(call), looked: LOOKED_MAX }),
    );
    const pinholes = await this.#views(page.pinholes, query["traffic"] === "true");
    return { body: { pinholes, ...(page.cursor === undefined ? {} : { cursor: page.cursor }) } };
  }

  /** Opens a pinhole under an id of the caller's own; again, it renews it. */
  async put({ agent, params, body }: PinholeCall): Promise<PinholeReply> {
    const clientId = params["id"] ?? "";
    const spec = readLoneSpec(body as SpecWords);
    const { pinhole, isNew } = await this.#change(agent, { op: "open", spec, clientId });
    return this.#reply(pinhole, isNew ? 201 : 200);
  }

  async renew({ agent, params, body, revision }: PinholeCall): Promise<PinholeReply> {
    const { lifetime } = body as { readonly lifetime: number | null };
    const expected = revision === undefined ? {} : { revision };
    const renewal = { op: "renew", id: params["id"] ?? "", lifetime, ...expected } as const;
    return this.#reply((await this.#change(agent, renewal)).pinhole);
  }

  async close({ agent, params, revision }: PinholeCall): Promise<PinholeReply> {
    const expected = revision === undefined ? {} : { revision };
    const close = { op: "close", id: params["id"] ?? "", ...expected } as const;
    return this.#reply((await this.#change(agent, close)).pinhole);
  }

  async #change(agent: Agent, operation: Operation): Promise<ChangedPinhole> {
    try {
      return await this.#service.change(agent, operation);
    } catch (error) {
      if (!(error instanceof PinholeRefusal)) throw error;
      // There is one operation only: its index says nothing.
      const { operation: _index, ...context } = error.context;
      throw new PinholeRefusal(error.code, error.message, context);
    }
  }

  async #find(agent: Agent, id: string): Promise<Pinhole> {
    const found = await this.#service.read((store) => store.find(agent, id));
    if (found !== undefined) return found;
    const message = `There is no pinhole ${id}, and none of yours has ended in the last five minutes.`;
    throw new PinholeRefusal("NO_SUCH_PINHOLE", message);
  }

  /** What a change left of a pinhole: that it has ended long ago meanwhile is no reason not to know it. */
  #reply(pinhole: Pinhole, status = 200): PinholeReply {
    return reply(viewOf(pinhole, this.#service.moment.now), status);
  }

  async #views(pinholes: readonly Pinhole[], withTraffic: boolean): Promise<object[]> {
    const { now } = this.#service.moment;
    const views = pinholes.map((pinhole) => viewOf(pinhole, now));
    if (!withTraffic) return views;
    const traffic = await this.#service.traffic(pinholes);
    return views.map((view, index) => ({ ...view, traffic: traffic[index] }));
  }
}

/** The routes. */
export function pinholeRoutes({ service }: PinholeHouse): PinholeRoute[] {
  const desk = new PinholeDesk(service);
  return [...readingRoutes(desk), ...changingRoutes(desk)];
}

function readingRoutes(desk: PinholeDesk): PinholeRoute[] {
  return [
    {
      method: "GET",
      path: "/v1/pinholes",
      id: "list",
      summary: "Living pinholes that the caller may see, in the order in which they were made.",
      query: {
        ...PAGE_QUERY,
        owner: TEXT,
        group: TEXT,
        state: { type: "string", enum: ["reserved", "enabled"] },
        kind: { type: "string", enum: ["permit", "reserve", "block"] },
        label: { ...TEXT, description: "name=value" },
        traffic: { ...FLAG, description: "Whether packets and bytes are read from the packet filter." },
      },
      answers: { 200: { description: "A page.", schema: "Page" } },
      handle: (call) => desk.list(call),
    },
    {
      method: "GET",
      path: "/v1/pinholes/:id",
      id: "get",
      summary: "A pinhole, living or ended a while ago.",
      params: ID,
      query: { traffic: FLAG },
      answers: { 200: ONE, 304: { description: "It is at the revision of If-None-Match." } },
      problems: ["NO_SUCH_PINHOLE"],
      handle: (call) => desk.get(call),
    },
  ];
}

function changingRoutes(desk: PinholeDesk): PinholeRoute[] {
  return [
    {
      method: "PUT",
      path: "/v1/pinholes/:id",
      id: "put",
      summary: "Opens a pinhole under an id of one's own. The same again renews its lease.",
      params: { id: { type: "string", description: "1 to 128 letters, digits and _.:~-" } },
      body: SCHEMAS.Spec,
      answers: { 200: ONE, 201: ONE },
      problems: [...CHANGE_PROBLEMS.filter((code) => code !== "NO_SUCH_PINHOLE"), "ID_TAKEN"],
      handle: (call) => desk.put(call),
    },
    {
      method: "PATCH",
      path: "/v1/pinholes/:id",
      id: "renew",
      summary: "Gives a pinhole another lease, counted from now.",
      params: ID,
      body: SCHEMAS.Renewal,
      isConditional: true,
      answers: { 200: ONE },
      problems: [
        ...LEASE_PROBLEMS,
        "LIFETIME_ZERO",
        "NOT_EXTENDABLE",
        "NO_SUCH_PINHOLE",
        "REVISION_MISMATCH",
      ],
      handle: (call) => desk.renew(call),
    },
    {
      method: "DELETE",
      path: "/v1/pinholes/:id",
      id: "close",
      summary: "Ends a pinhole, and the connections that only it permitted.",
      params: ID,
      isConditional: true,
      answers: { 200: { ...ONE, description: "The pinhole as it ended." } },
      problems: [...LEASE_PROBLEMS, "NO_SUCH_PINHOLE", "REVISION_MISMATCH"],
      handle: (call) => desk.close(call),
    },
  ];
}
