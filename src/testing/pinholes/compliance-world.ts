/** A store and a packet filter under test, in the words in which the tests are told. */
import assert from "node:assert/strict";
import { type AddressWords, defaultLimits, type Family, parseAddress, PROTOCOL } from "../../base/index.ts";
import {
  type Agent,
  type Moment,
  type Operation,
  type PacketFacts,
  type PinholeBackend,
  PinholeRefusal,
  type PinholeSpec,
  PinholeStore,
} from "../../pinhole/index.ts";
import { ALICE, fakeEntropy } from "./agents.ts";

/** A filter to be tested. */
export interface Harness {
  readonly backend: PinholeBackend;
  /**
   * Shows packets to the filter.
   *
   * @param payloadBytes - of each, at least 8
   * @returns for each packet whether it passed
   */
  show(packets: readonly PacketFacts[], payloadBytes?: number): Promise<boolean[]>;
  /** Both clocks of the filter. */
  moment(): Moment;
  /** Lets time pass. */
  pass(ms: number): Promise<void>;
}

/** A test. */
export interface ComplianceCase {
  readonly title: string;
  run(world: ComplianceWorld): Promise<void>;
}

/** The host on our side. */
export const OURS = { 4: "10.1.0.1", 6: "fd01::1" } as const;
/** The host on the other side. */
export const THEIRS = { 4: "203.0.113.1", 6: "2001:db8:100::1" } as const;

/** A call's flow between one host of each side. */
export function flow(family: Family, changes: Partial<PinholeSpec> = {}): PinholeSpec {
  return {
    kind: "permit",
    internal: { family, address: OURS[family], ports: [5004, 5004] },
    external: { family, address: THEIRS[family], ports: [6004, 6004] },
    protocol: PROTOCOL.UDP,
    direction: "both",
    lifetime: 600,
    ...changes,
  };
}

/** A packet in words: `in udp`, `out tcp syn`, with ends where they differ from the flow's. */
export interface PacketWords {
  readonly direction: "in" | "out";
  readonly protocol?: number;
  readonly syn?: boolean;
  readonly ours?: string;
  readonly theirs?: string;
  readonly ourPort?: number;
  readonly theirPort?: number;
  readonly family?: Family;
}

interface End {
  readonly words: AddressWords;
  readonly port: number;
}

function end(address: string, port: number, protocol: number): End {
  const hasPorts = protocol !== PROTOCOL.ICMP && protocol !== PROTOCOL.ICMPV6;
  return { words: parseAddress(address)?.words ?? new Uint32Array(4), port: hasPorts ? port : 0 };
}

/** The packet that is meant. */
export function packet(words: PacketWords): PacketFacts {
  const { protocol = PROTOCOL.UDP, family = 4 } = words;
  const near = end(words.ours ?? OURS[family], words.ourPort ?? 5004, protocol);
  const far = end(words.theirs ?? THEIRS[family], words.theirPort ?? 6004, protocol);
  const [source, destination] = words.direction === "in" ? [far, near] : [near, far];
  return {
    family,
    protocol,
    source: source.words,
    destination: destination.words,
    sourcePort: source.port,
    destinationPort: destination.port,
    opensTcp: words.syn ?? false,
  };
}

/** A packet of the flow, into our side. */
export const IN: PacketWords = { direction: "in" };
/** A packet of the flow, out of our side. */
export const OUT: PacketWords = { direction: "out" };

/** A store and the filter under test. */
export class ComplianceWorld {
  readonly harness: Harness;
  readonly store: PinholeStore;

  constructor(harness: Harness) {
    this.harness = harness;
    const { expansionMax } = harness.backend.abilities;
    this.store = new PinholeStore({ limits: defaultLimits(), expansionMax, entropy: fakeEntropy() });
  }

  get backend(): PinholeBackend {
    return this.harness.backend;
  }

  /** Makes the filter hold what the store says: nothing at first. */
  async restore(): ReturnType<PinholeBackend["restore"]> {
    return this.backend.restore(this.store.desired(this.harness.moment().now));
  }

  /** Carries operations out. Returns the ids of what they are about. */
  async apply(operations: readonly Operation[], agent: Agent = ALICE): Promise<string[]> {
    const transaction = this.store.stage(agent, this.harness.moment());
    for (const operation of operations) transaction.stage(operation);
    const prepared = this.store.prepare([{ transaction, options: {} }], this.harness.moment());
    const [outcome] = prepared.outcomes;
    if (outcome === undefined || outcome instanceof PinholeRefusal) {
      prepared.takeBack();
      throw outcome ?? new Error("no outcome");
    }
    await this.backend.commit(this.backend.prepare(prepared.plan));
    prepared.settle();
    return outcome.results.map(({ id }) => id);
  }

  async open(spec: PinholeSpec, agent: Agent = ALICE): Promise<string> {
    const [id = ""] = await this.apply([{ op: "open", spec }], agent);
    return id;
  }

  async close(id: string, agent: Agent = ALICE): Promise<void> {
    await this.apply([{ op: "close", id }], agent);
  }

  /** Expects packets to pass, or not. */
  async expect(expected: readonly (readonly [PacketWords, boolean])[]): Promise<void> {
    const passed = await this.harness.show(expected.map(([words]) => packet(words)));
    const told = expected.map(([words], index) => `${JSON.stringify(words)} ${passed[index] === true}`);
    const wanted = expected.map(([words, passes]) => `${JSON.stringify(words)} ${passes}`);
    assert.deepEqual(told, wanted);
  }
}
