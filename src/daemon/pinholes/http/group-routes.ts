/** Routes about groups: what belongs together is renewed and ended together, in one commit. */
import { type Agent, type Operation, type PinholeGroup, PinholeRefusal } from "../../../pinhole/index.ts";
import type { PinholeHouse } from "../pinhole-door.ts";
import type { PinholeService } from "../service.ts";
import { PAGE_QUERY, pageSize } from "./pinhole-routes.ts";
import { LEASE_PROBLEMS } from "./problem.ts";
import type { PinholeCall, PinholeReply, PinholeRoute, Schema } from "./route.ts";
import { SCHEMAS } from "./schema.ts";

/** How often a group is read again when one of its pinholes has ended while the commit was on its way. */
const ATTEMPTS_MAX = 8;
const GROUP: Readonly<Record<string, Schema>> = {
  group: { type: "string", description: "`gr_` and a number, or a name of one's own." },
};
const COMMITTED = { description: "It is in force.", schema: "CommitAnswer" } as const;

function summaryOf({ id, number, owner, size }: PinholeGroup): Record<string, unknown> {
  return { id, gid: number, owner, size };
}

/** Does things with groups. */
class GroupDesk {
  readonly #service: PinholeService;

  constructor(service: PinholeService) {
    this.#service = service;
  }

  async list(call: PinholeCall): Promise<PinholeReply> {
    const { agent, query } = call;
    const after = Number(query["cursor"] ?? -1);
    const count = pageSize(call);
    const all = await this.#service.read((store) => store.groups(agent).map(summaryOf));
    const rest = all
      .filter(({ gid }) => Number(gid) > after)
      .sort((a, b) => Number(a["gid"]) - Number(b["gid"]));
    const groups = rest.slice(0, count);
    const last = groups.at(-1);
    return {
      body: {
        groups,
        ...(last === undefined || rest.length <= count ? {} : { cursor: String(last["gid"]) }),
      },
    };
  }

  async get({ agent, params }: PinholeCall): Promise<PinholeReply> {
    const body = await this.#service.read((store) => {
      const group = found(store.findGroup(agent, params["group"] ?? ""), params["group"]);
      return { ...summaryOf(group), members: [...group.members] };
    });
    return { body };
  }

  /** Does the same with every member, in one commit. */
  async change(agent: Agent, name: string, operation: (id: string) => Operation): Promise<PinholeReply> {
    for (let attempt = 1; ; attempt += 1) {
      const members = await this.#service.read((store) => [
        ...found(store.findGroup(agent, name), name).members,
      ]);
      try {
        return { body: await this.#service.apply(agent, members.map(operation)) };
      } catch (error) {
        const hasEnded = error instanceof PinholeRefusal && error.code === "NO_SUCH_PINHOLE";
        if (!hasEnded || attempt === ATTEMPTS_MAX) throw error;
      }
    }
  }
}

function found(group: PinholeGroup | undefined, name: string | undefined): PinholeGroup {
  if (group !== undefined) return group;
  throw new PinholeRefusal("NO_SUCH_GROUP", `There is no group ${name}.`);
}

/** The routes. */
export function groupRoutes({ service }: PinholeHouse): PinholeRoute[] {
  const desk = new GroupDesk(service);
  const nameOf = ({ params }: PinholeCall): string => params["group"] ?? "";
  return [
    {
      method: "GET",
      path: "/v1/groups",
      id: "listGroups",
      summary: "Groups that the caller may see.",
      query: { ...PAGE_QUERY, cursor: { type: "string", pattern: "^[0-9]{1,10}$" } },
      answers: { 200: { description: "A page.", schema: "GroupPage" } },
      handle: (call) => desk.list(call),
    },
    {
      method: "GET",
      path: "/v1/groups/:group",
      id: "getGroup",
      summary: "A group with its members.",
      params: GROUP,
      answers: { 200: { description: "The group.", schema: "Group" } },
      problems: ["NO_SUCH_GROUP"],
      handle: (call) => desk.get(call),
    },
    {
      method: "PATCH",
      path: "/v1/groups/:group",
      id: "renewGroup",
      summary: "Gives every pinhole of a group another lease.",
      params: GROUP,
      body: SCHEMAS.Renewal,
      answers: { 200: COMMITTED },
      problems: [...LEASE_PROBLEMS, "LIFETIME_ZERO", "NOT_EXTENDABLE", "NO_SUCH_GROUP"],
      handle: (call) => {
        const { lifetime } = call.body as { readonly lifetime: number | null };
        return desk.change(call.agent, nameOf(call), (id) => ({ op: "renew", id, lifetime }));
      },
    },
    {
      method: "DELETE",
      path: "/v1/groups/:group",
      id: "closeGroup",
      summary: "Ends every pinhole of a group.",
      params: GROUP,
      answers: { 200: COMMITTED },
      problems: [...LEASE_PROBLEMS, "NO_SUCH_GROUP"],
      handle: (call) => desk.change(call.agent, nameOf(call), (id) => ({ op: "close", id })),
    },
  ];
}
