/** All routes of the HTTP door. */
import { randomBytes } from "node:crypto";
import type { PinholeHouse } from "../pinhole-door.ts";
import { commitRoutes } from "./commit-routes.ts";
import { eventRoutes } from "./event-routes.ts";
import { groupRoutes } from "./group-routes.ts";
import { houseRoutes } from "./house-routes.ts";
import { openApiDocument } from "./open-api.ts";
import { pinholeRoutes } from "./pinhole-routes.ts";
import type { PinholeRoute } from "./route.ts";

/** Names this run of the process, in events and status. */
const BOOT_ID = randomBytes(6).toString("hex");

/** The routes to a house, the OpenAPI document among them. */
export function allRoutes(house: PinholeHouse): PinholeRoute[] {
  const routes: PinholeRoute[] = [
    ...commitRoutes(house),
    ...pinholeRoutes(house),
    ...groupRoutes(house),
    ...eventRoutes(house, BOOT_ID),
    ...houseRoutes(house, BOOT_ID),
  ];
  routes.push({
    method: "GET",
    path: "/v1/openapi.json",
    id: "getDocument",
    summary: "This document.",
    answers: { 200: { description: "OpenAPI 3.1.", schema: "Document" } },
    handle: () => ({ body: document }),
  });
  const document = openApiDocument(routes, house.version);
  return routes;
}
