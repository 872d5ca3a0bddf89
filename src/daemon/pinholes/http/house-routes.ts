/** Routes about the house as a whole. */
import { type LimitName, LIMITS } from "../../../base/index.ts";
import { PinholeRefusal } from "../../../pinhole/index.ts";
import type { PinholeHouse } from "../pinhole-door.ts";
import type { PinholeService } from "../service.ts";
import type { PinholeRoute } from "./route.ts";

const LIMIT_NAMES = Object.keys(LIMITS).filter((name) => name.startsWith("pinhole")) as LimitName[];

function backendOf({ status }: PinholeService): object {
  const { backend, abilities, isDegraded, reason, desired, enforced } = status;
  return { name: backend, abilities, isDegraded, reason, desired, enforced };
}

/** The routes. */
export function houseRoutes({ service, limits }: PinholeHouse, bootId: string): PinholeRoute[] {
  const values = Object.fromEntries(LIMIT_NAMES.map((name) => [name, limits[name]]));
  return [
    {
      method: "GET",
      path: "/v1/status",
      id: "getStatus",
      summary: "How the service fares: pinholes, what shall be in force and what is, counters.",
      answers: { 200: { description: "The status.", schema: "Status" } },
      handle: () => {
        const { generation, pinholes, counters } = service.status;
        const lastEvent = `${bootId}-${service.lastEvent}`;
        const uptimeSeconds = Math.floor(process.uptime());
        const { pid } = process;
        const backend = backendOf(service);
        return { body: { bootId, pid, uptimeSeconds, generation, pinholes, lastEvent, backend, counters } };
      },
    },
    {
      method: "GET",
      path: "/v1/capabilities",
      id: "getCapabilities",
      summary: "What can be done here, and what the caller may do.",
      answers: { 200: { description: "The capabilities.", schema: "Capabilities" } },
      handle: async ({ agent }) => {
        const { backend, abilities, generation } = service.status;
        const { internal, external, ...profile } = agent.profile;
        const words = { internal: internal.map(String), external: external.map(String), ...profile };
        const pinholes = await service.read((store) => store.countOf(agent.name));
        return {
          body: {
            bootId,
            generation,
            backend,
            abilities,
            agent: agent.name,
            profile: words,
            pinholes,
            limits: values,
          },
        };
      },
    },
    {
      method: "GET",
      path: "/v1/backends",
      id: "listBackends",
      summary: "The packet filter behind the pinholes.",
      answers: { 200: { description: "A list of one.", schema: "Backends" } },
      handle: () => ({ body: { backends: [backendOf(service)] } }),
    },
    {
      method: "POST",
      path: "/v1/audit",
      id: "audit",
      summary: "Reads the packet filter, compares it with what shall be, and puts right what differs.",
      answers: { 200: { description: "What was put right.", schema: "Restoration" } },
      problems: ["TRANSACTION_FORBIDDEN"],
      handle: async ({ agent }) => {
        if (!agent.profile.isAdministrator) {
          throw new PinholeRefusal("TRANSACTION_FORBIDDEN", "Only administrators may ask for this.");
        }
        const { held, added, renewed, removed } = await service.audit();
        const counts = { added: added.length, renewed: renewed.length, removed: removed.length };
        return { body: { held, ...counts } };
      },
    },
  ];
}
