/** Routes about the house as a whole. */
import type { PinholeHouse } from "../pinhole-door.ts";
import type { PinholeRoute } from "./route.ts";

/** The routes. */
export function houseRoutes({ service }: PinholeHouse): PinholeRoute[] {
  return [
    {
      method: "GET",
      path: "/v1/status",
      id: "getStatus",
      summary: "How the service fares: pinholes, what shall be in force and what is, counters.",
      answers: { 200: { description: "The status.", schema: "Status" } },
      handle: () => ({ body: { ...service.status, pid: process.pid } }),
    },
  ];
}
