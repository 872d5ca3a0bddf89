/** The HTTP doors: a Unix socket, where the kernel says who asks, and TLS, where a certificate does. */
import { rmSync } from "node:fs";
import { FirewallError } from "../../../base/index.ts";
import { clearSocketPath, listenAtSocket, type SocketPlace } from "../../socket-place.ts";
import type { OpenDoor, PinholeDoor } from "../pinhole-door.ts";
import { allRoutes } from "./routes.ts";
import type { PinholeServer, TlsMaterial } from "./server.ts";

/** Connections that wait to be let in; the kernel has a limit of its own (`net.core.somaxconn`). */
const BACKLOG = 4096;

/** Where a door with TLS is. */
export interface TlsPlace {
  readonly host: string;
  readonly port: number;
  readonly material: TlsMaterial;
}

/** Ends requests that are waiting for nothing but time, and all connections. */
async function shut({ fastify, keeper }: PinholeServer): Promise<void> {
  keeper.endAll();
  await fastify.close();
}

/** Where a server with TLS listens: with port 0 the system has chosen one. */
function addressOf({ server }: PinholeServer, host: string): string {
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  return `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/**
 * A door on a Unix socket.
 *
 * @param place - path, owner, group and mode
 */
export function openUnixDoor(place: SocketPlace): OpenDoor {
  return async (house): Promise<PinholeDoor> => {
    await clearSocketPath(place.path);
    const { createPinholeServer } = await import("./server.ts");
    const server = createPinholeServer(house, allRoutes(house));
    const { path } = place;
    await listenAtSocket(place, () => server.fastify.listen({ path, backlog: BACKLOG }));
    return {
      address: path,
      close: async () => {
        await shut(server);
        rmSync(path, { force: true });
      },
    };
  };
}

/**
 * A door with TLS, for clients that show a certificate of our authority.
 *
 * @param place - address, port, and what is shown and demanded
 */
export function openTlsDoor(place: TlsPlace): OpenDoor {
  return async (house): Promise<PinholeDoor> => {
    const { host, port, material } = place;
    const { createPinholeServer } = await import("./server.ts");
    const server = createPinholeServer(house, allRoutes(house), material);
    try {
      await server.fastify.listen({ host, port, backlog: BACKLOG });
      return { address: addressOf(server, host), close: () => shut(server) };
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new FirewallError("DOOR_ADDRESS", `cannot listen at ${host} port ${port}: ${reason}`, { cause });
    }
  };
}
