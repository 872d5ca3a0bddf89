/**
 * Who owns a table: one living firewall for each name in a network namespace.
 *
 * The lock is an abstract Unix socket. Its name belongs to the network namespace, as the table does, and the
 * kernel takes it back when the process ends, however it ends, so there is no stale lock and nothing to
 * remove.
 */
import { connect, createServer, type Server } from "node:net";
import { FirewallError } from "../base/index.ts";
import { type PeerCredentials, readPeerCredentials } from "../system/index.ts";

/** The process that holds a lock, as it was when it took it; undefined when that is not to be found out. */
function askHolder(name: string): Promise<PeerCredentials | undefined> {
  return new Promise((resolve) => {
    const socket = connect(name);
    socket.once("error", () => resolve(undefined));
    socket.once("connect", () => {
      resolve(readPeerCredentials(socket));
      socket.destroy();
    });
  });
}

/**
 * Why the lock cannot be had. Anybody in the network namespace can take a name, so it is said when the holder
 * is somebody who cannot run a firewall.
 */
function refusal(table: string, holder: PeerCredentials | undefined): FirewallError {
  const { userId = 0, processId = 0 } = holder ?? {};
  // A process of another process namespace has the number 0 here.
  const who = processId === 0 ? "" : ` (process ${processId})`;
  if (userId === 0 || userId === process.geteuid?.()) {
    const words = `a firewall is running in this network namespace with the table ${table}${who}`;
    return new FirewallError("ALREADY_UP", `${words}: stop it first, or choose another table with --table`);
  }
  return new FirewallError(
    "OWNER_LOCK",
    `user ${userId} holds the name that a firewall with the table ${table} locks, and is no firewall: ` +
      `end that process${who}, or choose another table with --table`,
  );
}

/** The lock on a table's name. */
export class OwnerLock {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Takes the lock in the network namespace of the process.
   *
   * @param table - the table's name
   * @throws {FirewallError} `ALREADY_UP` when a living firewall has it, `OWNER_LOCK` when somebody else has
   *   it, or it cannot be taken
   */
  static async take(table: string): Promise<OwnerLock> {
    const name = `\0postern/${table}`;
    const server = createServer((connection) => connection.destroy());
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(name, resolve);
      });
    } catch (error) {
      const cause = error as NodeJS.ErrnoException;
      if (cause.code === "EADDRINUSE") throw refusal(table, await askHolder(name));
      const message = `cannot take the lock on the table ${table}: ${cause.message}`;
      throw new FirewallError("OWNER_LOCK", message, { cause });
    }
    return new OwnerLock(server);
  }

  /** Gives the lock back. */
  release(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
