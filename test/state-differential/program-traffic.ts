/** Real programs on real TCP stacks, their packets entered into both tables on the way. */
import type { Namespace, Topology } from "#lab";
import { Ledger } from "./ledger.ts";
import { TwinTables } from "./twin-tables.ts";

/** The laboratory. */
export type Hosts = Topology<"client" | "firewall" | "server">;

/** Longest wait for a packet, in milliseconds: the programs' answers are heard between two waits. */
const WAIT_MS = 2;

/** Silence after which a scenario counts as over, in milliseconds. */
const QUIET_MS = 60;

/** Lets packets through both tables while programs run. */
export class ProgramTraffic {
  readonly ledger = new Ledger();
  readonly #twins: TwinTables;

  private constructor(twins: TwinTables) {
    this.#twins = twins;
  }

  /** @param hosts - packets are met at all hooks of the one between the others */
  static async open({ firewall }: Hosts): Promise<ProgramTraffic> {
    return new ProgramTraffic(await TwinTables.open(firewall, { hooks: ["INPUT", "OUTPUT", "FORWARD"] }));
  }

  /**
   * Runs programs, and compares both tables while packets flow and until they have ceased.
   *
   * @param title - for messages
   * @param work - what the programs do
   */
  async run(title: string, work: () => Promise<void>): Promise<void> {
    let ended = false;
    const working = work().finally(() => {
      ended = true;
    });
    for (let quietSince = performance.now(); !ended || performance.now() - quietSince < QUIET_MS; ) {
      if (this.#pass(title)) quietSince = performance.now();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await working;
  }

  /** Lets all packets go. */
  close(): void {
    this.#twins.close();
  }

  /** Takes the packets that wait, compares, and lets them go. @returns false when there were none */
  #pass(title: string): boolean {
    const twins = this.#twins;
    if (twins.take(WAIT_MS) === 0) return false;
    for (const step of twins.compare()) {
      // The kernel lists an entry when its first packet has left.
      const unconfirmed = step.after.kernel === "absent" && (step.before?.kernel ?? "absent") === "absent";
      if (!unconfirmed) this.ledger.enter(step, () => `${title}, flow ${step.flow}`);
    }
    twins.release();
    return true;
  }
}

/**
 * Loses packets behind the firewall while work is done.
 *
 * @param host - where they are lost
 * @param which - in nftables' words
 */
export async function withLoss(host: Namespace, which: string, work: () => Promise<void>): Promise<void> {
  const chain = `chain c { type filter hook prerouting priority raw; ${which} drop; }`;
  await host.must(["nft", `table inet loss {\n ${chain}\n}`]);
  try {
    await work();
  } finally {
    await host.must(["nft", "delete table inet loss"]);
  }
}
