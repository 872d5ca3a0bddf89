/**
 * Who owns a table: one living firewall for each name in a network namespace.
 *
 * The lock is an abstract Unix socket. Its name belongs to the network namespace, as the table does, and the
 * kernel takes it back when the process ends, however it ends, so there is no stale lock and nothing to
 * remove.
 */
import { createServer, type Server } from "node:net";
import { FirewallError } from "../base/index.ts";

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
   * @throws {FirewallError} `ALREADY_UP` when a living firewall has it
   */
  static take(table: string): Promise<OwnerLock> {
    const server = createServer((connection) => connection.destroy());
    return new Promise((resolve, reject) => {
      server.once("error", (cause: NodeJS.ErrnoException) => {
        const taken = cause.code === "EADDRINUSE";
        const words = `a firewall is running in this network namespace with the table ${table}`;
        reject(
          taken
            ? new FirewallError("ALREADY_UP", `${words}: stop it first, or choose another table with --table`)
            : new FirewallError(
                "OWNER_LOCK",
                `cannot take the lock on the table ${table}: ${cause.message}`,
                { cause },
              ),
        );
      });
      server.listen(`\0postern/${table}`, () => resolve(new OwnerLock(server)));
    });
  }

  /** Gives the lock back. */
  release(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
