/** Unix sockets that we listen at: where they lie, and who may open them. */
import { chmodSync, chownSync, mkdirSync, rmSync, statSync } from "node:fs";
import { createConnection } from "node:net";
import { dirname } from "node:path";
import { FirewallError } from "../base/index.ts";

/** Where a socket lies and who may open it. */
export interface SocketPlace {
  readonly path: string;
  /** Permission bits; 0o600 unless told otherwise. */
  readonly mode?: number;
  /** User that owns the socket, by its id; ours unless told otherwise. */
  readonly userId?: number;
  /** Group that owns the socket, by its id. */
  readonly groupId?: number;
}

/** True when somebody answers on the socket. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

/**
 * Removes the socket of a process that died; refuses to take it from one that lives.
 *
 * @throws {FirewallError} `CONTROL_SOCKET`
 */
export async function clearSocketPath(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new FirewallError(
      "CONTROL_SOCKET",
      `${path} exists and is no socket; choose another with --socket`,
    );
  }
  if (await isAlive(path)) {
    throw new FirewallError(
      "CONTROL_SOCKET",
      `a firewall already listens at ${path}; choose another with --socket`,
    );
  }
  rmSync(path);
}

/**
 * Listens, with nobody let in before owner, group and mode are as they shall be.
 *
 * @param listen - makes the socket
 * @throws {FirewallError} `CONTROL_SOCKET` when the path cannot be used
 */
export async function listenAtSocket(place: SocketPlace, listen: () => Promise<unknown>): Promise<void> {
  const { path, userId, groupId, mode = 0o600 } = place;
  const mask = process.umask(0o177);
  try {
    await listen();
  } catch (cause) {
    throw new FirewallError("CONTROL_SOCKET", `cannot listen at ${path}: ${String(cause)}`, { cause });
  } finally {
    process.umask(mask);
  }
  const own = process.getuid?.() ?? 0;
  if (userId !== undefined || groupId !== undefined) {
    chownSync(path, userId ?? own, groupId ?? process.getgid?.() ?? 0);
  }
  chmodSync(path, mode);
}
