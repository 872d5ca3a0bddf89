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

/** Who owns by a lock, what is owned, and the way out for a second one. */
const OWNERS = {
  firewall: { owner: "a firewall", owned: "the table", wayOut: "choose another table with --table" },
  pinholes: {
    owner: "a daemon of pinholes",
    owned: "the chain",
    wayOut: "choose another chain with --chain",
  },
} as const;

/** Kinds of programs of which one may own a name. */
export type OwnerKind = keyof typeof OWNERS;

/**
 * Why the lock cannot be had. Anybody in the network namespace can take a name, so it is said when the holder
 * is somebody who cannot own anything there.
 */
function refusal(kind: OwnerKind, name: string, holder: PeerCredentials | undefined): FirewallError {
  const { owner, owned, wayOut } = OWNERS[kind];
  const { userId = 0, processId = 0 } = holder ?? {};
  // A process of another process namespace has the number 0 here.
  const who = processId === 0 ? "" : ` (process ${processId})`;
  if (userId === 0 || userId === process.geteuid?.()) {
    const words = `${owner} is running in this network namespace with ${owned} ${name}${who}`;
    return new FirewallError("ALREADY_UP", `${words}: stop it first, or ${wayOut}`);
  }
  return new FirewallError(
    "OWNER_LOCK",
    `user ${userId} holds the name that ${owner} with ${owned} ${name} locks, and is none: ` +
      `end that process${who}, or ${wayOut}`,
  );
}

/** The lock on the name of a table or chain. */
export class OwnerLock {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Takes the lock in the network namespace of the process.
   *
   * @param owned - the table's name, or the chain's behind it
   * @throws {FirewallError} `ALREADY_UP` when a living firewall has it, `OWNER_LOCK` when somebody else has
   *   it, or it cannot be taken
   */
  static async take(owned: string, kind: OwnerKind = "firewall"): Promise<OwnerLock> {
    const name = `\0postern/${owned}`;
    const server = createServer((connection) => connection.destroy());
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(name, resolve);
      });
    } catch (error) {
      const cause = error as NodeJS.ErrnoException;
      if (cause.code === "EADDRINUSE") throw refusal(kind, owned, await askHolder(name));
      const message = `cannot take the lock on ${OWNERS[kind].owned} ${owned}: ${cause.message}`;
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
