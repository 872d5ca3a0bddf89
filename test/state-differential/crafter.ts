/** Plays random connections through a router, a segment at a time, and compares both tables after each. */
import assert from "node:assert/strict";
import type { Topology } from "#lab";
import { inNamespace, RawSocket } from "#system";
import { CraftedConnection } from "./crafted-connection.ts";
import { Ledger } from "./ledger.ts";
import { randomNumbers, randomWalk } from "./segment-walks.ts";
import { TwinTables } from "./twin-tables.ts";

type Hosts = Topology<"client" | "firewall" | "server">;

/** Connections after which both tables are emptied. */
const ROUND = 2000;
const FIRST_PORT = 1024;
const SERVICE = 80;

/** Keeps hosts from answering: the segments' senders speak for them. */
const QUIET =
  "table inet quiet {\n chain c { type filter hook prerouting priority raw; meta l4proto tcp drop; }\n}";

/** How long a segment may take to the queue, in milliseconds. */
const WAIT_MS = 1000;

/** Sends hand-made segments from both ends. */
export class Crafter {
  readonly twins: TwinTables;
  readonly #hosts: Hosts;
  readonly #sockets: Readonly<Record<"c" | "s", Readonly<Record<4 | 6, RawSocket>>>>;

  private constructor(hosts: Hosts, twins: TwinTables) {
    const open = (name: string): Readonly<Record<4 | 6, RawSocket>> =>
      inNamespace(name, () => ({ 4: RawSocket.open(4), 6: RawSocket.open(6) }));
    this.#hosts = hosts;
    this.twins = twins;
    this.#sockets = { c: open(hosts.client.fullName), s: open(hosts.server.fullName) };
  }

  /** @param strict - see {@link TwinTables} */
  static async open(hosts: Hosts, strict: boolean): Promise<Crafter> {
    const { client, firewall, server } = hosts;
    // Neighbours are known from here on, so that no segment waits for an answer about an address.
    for (const address of [server.ipv4, server.ipv6]) await client.must(["ping", "-q", "-c", "1", address]);
    for (const host of [client, server]) await host.must(["nft", QUIET]);
    return new Crafter(hosts, await TwinTables.open(firewall, { hooks: ["FORWARD"], strict }));
  }

  /**
   * Plays one connection.
   *
   * @param words - see crafted-connection.ts
   * @param port - of the client
   * @param ledger - takes the comparisons
   * @returns both tables' states of it in the end, such as `ESTABLISHED/ESTABLISHED`
   */
  play(words: readonly string[], port: number, ledger: Ledger): string {
    let last = "";
    const { client, server } = this.#hosts;
    const family = port % 4 === 0 ? 6 : 4;
    const [from, to] = family === 4 ? [client.ipv4, server.ipv4] : [client.ipv6, server.ipv6];
    const connection = new CraftedConnection({ address: from, port }, { address: to, port: SERVICE });
    for (const [at, word] of words.entries()) {
      const { from: side, packet } = connection.play(word);
      this.#sockets[side][family].send(packet);
      const story = (): string => words.slice(0, at + 1).join(" ");
      assert.equal(this.twins.take(WAIT_MS), 1, `one packet: ${story()}`);
      this.twins.release();
      for (const step of this.twins.compare()) {
        ledger.enter(step, story);
        last = `${step.after.own}/${step.after.kernel}`;
      }
    }
    return last;
  }

  close(): void {
    for (const sockets of Object.values(this.#sockets))
      for (const socket of Object.values(sockets)) socket.close();
    this.twins.close();
  }
}

/** A kind of random connections. */
export interface WalkKind {
  readonly title: string;
  /** Whether they hold segments that no real end sends. */
  readonly odd: boolean;
  readonly strict: boolean;
  /** Least share of comparisons in which both tables agree. */
  readonly atLeast: number;
}

/**
 * The kinds. Forged segments are for strict tracking: liberal tracking believes more than the kernel does.
 */
export const WALK_KINDS: readonly WalkKind[] = [
  { title: "lawful connections", odd: false, strict: false, atLeast: 0.85 },
  { title: "lawful connections, strict", odd: false, strict: true, atLeast: 0.85 },
  { title: "connections with forged segments, strict", odd: true, strict: true, atLeast: 0.85 },
];

/** Plays random connections; none may differ in a way that no name explains. */
export async function expectAgreement(
  hosts: Hosts,
  kind: WalkKind,
  { seed, connections }: { readonly seed: number; readonly connections: number },
): Promise<void> {
  const crafter = await Crafter.open(hosts, kind.strict);
  const random = randomNumbers(seed);
  const ledger = new Ledger(kind.odd);
  for (let number = 0; number < connections; number += 1) {
    if (number % ROUND === 0) {
      crafter.twins.clear();
      ledger.forget();
    }
    crafter.play(randomWalk(random, kind.odd), FIRST_PORT + (number % ROUND), ledger);
  }
  crafter.close();
  const account = `${kind.title}, seed ${seed}: ${ledger.lines().join("\n")}\n`;
  process.stdout.write(account);
  assert.deepEqual(ledger.failures, [], account);
  assert.ok(ledger.steps > 5 * connections && ledger.agreement > kind.atLeast, account);
}
