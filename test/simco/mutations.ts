/** Vectors with something changed by chance, said to a server: nothing may break, and nothing stay behind. */
import { performance } from "node:perf_hooks";
import { SimulatedPinholes } from "#backend";
import { defaultLimits } from "#base";
import { MemoryJournal, PinholeService } from "#daemon";
import { ADMINISTRATOR_PROFILE, type Agent, PinholeStore } from "#pinhole";
import {
  decodeHeader,
  encodeMessage,
  HEADER_OCTETS,
  MessageReader,
  PAYLOAD_MAX,
  PACKET_FILTER,
  SimcoServer,
} from "#simco";
import { closeAtEnd, fakeEntropy, octetsOf, REFUSED_VECTORS, vector, VECTORS } from "#testing";
import { KEY, mac } from "./rig.ts";

const AGENT: Agent = { name: "agent-1", profile: ADMINISTRATOR_PROFILE };

/** What a mutation led to. */
export interface MutationCounts {
  /** Mutations said to a server. */
  said: number;
  replies: number;
  faults: number;
  closed: number;
}

/** Numbers that look like chance. */
export type Chance = (below: number) => number;

/** @param seed - the same seed gives the same numbers */
export function chanceOf(seed: number): Chance {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * below);
  };
}

const SEEDS: readonly Uint8Array[] = [
  ...VECTORS.map(({ id }) => vector(id)),
  ...REFUSED_VECTORS.map(({ request }) => octetsOf(request)),
];

function fixLength(octets: Uint8Array): void {
  if (octets.length < HEADER_OCTETS) return;
  new DataView(octets.buffer).setUint16(2, octets.length - HEADER_OCTETS);
}

/** Changes one thing: a bit, an octet, a number of octets more or less, or two messages into one. */
export function mutate(chance: Chance): Uint8Array {
  const seed = SEEDS[chance(SEEDS.length)] ?? new Uint8Array(HEADER_OCTETS);
  let octets = seed.slice();
  for (let round = chance(4); round >= 0; round -= 1) {
    const at = chance(octets.length);
    switch (chance(7)) {
      case 0:
        octets[at] = (octets[at] ?? 0) ^ (1 << chance(8));
        break;
      case 1:
        octets[at] = chance(256);
        break;
      case 2:
        octets = octets.slice(0, at);
        break;
      case 3:
        octets = Uint8Array.from([...octets.slice(0, at), chance(256), ...octets.slice(at)]);
        break;
      case 4:
        octets = Uint8Array.from([...octets, ...(SEEDS[chance(SEEDS.length)] ?? [])]);
        break;
      case 5:
        // A request of another kind, with what it has.
        octets[0] = 1;
        octets[1] = [1, 2, 3, 0x11, 0x12, 0x13, 0x14, 0x15, 0x21, 0x22][chance(10)] ?? 1;
        break;
      default:
        fixLength(octets);
    }
  }
  return octets;
}

/** A server without sockets, and the pinholes behind it. */
export class MutationDesk {
  readonly counts: MutationCounts = { said: 0, replies: 0, faults: 0, closed: 0 };
  readonly server: SimcoServer;
  readonly #service: PinholeService;
  readonly #chance: Chance;
  readonly #clock: { ahead: number };

  private constructor(service: PinholeService, clock: { ahead: number }, seed: number) {
    this.#service = service;
    this.#clock = clock;
    this.#chance = chanceOf(seed);
    this.server = new SimcoServer({
      box: {
        identity: "fw1",
        key: KEY,
        capabilities: PACKET_FILTER,
        protocols: [],
        isStrictAboutEnabling: false,
        directory: { agent: () => AGENT, key: () => KEY },
        mac,
        entropy: fakeEntropy(),
      },
      store: service,
      limits: defaultLimits(),
      name: "mutations",
      meter: { take: () => 0 },
    });
  }

  /** @param seed - the same seed makes the same mutations */
  static async open(seed: number): Promise<MutationDesk> {
    const clock = { ahead: 0 };
    const service = await PinholeService.start({
      // Few pinholes, so that the table is full much of the time.
      store: new PinholeStore({
        limits: { ...defaultLimits(), pinholes: 50 },
        expansionMax: 8,
        entropy: fakeEntropy(),
      }),
      journal: new MemoryJournal(),
      backend: new SimulatedPinholes(),
      moment: () => ({ now: performance.now() + clock.ahead, wall: Date.now() + clock.ahead }),
      bootId: "boot",
      eventsKept: 100,
    });
    return new MutationDesk(service, clock, seed);
  }

  /**
   * Says mutations, each in a session of its own that is open, or not opened yet.
   *
   * @returns what is wrong with one that was not answered as it should; undefined when all were
   */
  async say(count: number): Promise<string | undefined> {
    for (let done = 0; done < count; done += 1) {
      const octets = mutate(this.#chance);
      const isOpen = this.#chance(4) > 0;
      const complaint = await this.#sayOne(octets, isOpen);
      if (complaint !== undefined) return `${complaint}: ${Buffer.from(octets).toString("hex")}`;
      // Now and then all rules end, so that there is something to make again.
      if (done % 5000 === 4999) await this.#clear();
    }
    return undefined;
  }

  /** Rules that live. */
  async rules(): Promise<number> {
    return this.#service.read((store) => store.size);
  }

  readonly close: () => Promise<void> = closeAtEnd(() => {
    this.server.close();
    return this.#service.close();
  });

  async #clear(): Promise<void> {
    this.#clock.ahead += 3_700_000;
    await this.#service.audit();
  }

  async #sayOne(octets: Uint8Array, isOpen: boolean): Promise<string | undefined> {
    const sent: Uint8Array[] = [];
    let isOver = false;
    let wake = (): void => undefined;
    const session = this.server.accept(
      { address: "", isWelcome: true, isProtected: true, agent: "agent-1", binding: new Uint8Array(0) },
      {
        send: (message) => {
          sent.push(message);
          wake();
        },
        end: () => {
          isOver = true;
          wake();
        },
        pause: () => undefined,
        resume: () => undefined,
        backlog: 0,
      },
    );
    if (isOpen) {
      session.receive(encodeMessage({ name: "SE", tid: 1, version: { major: 3, minor: 0 } }));
      sent.length = 0;
    }
    session.receive(octets);
    session.inputEnded();
    while (!isOver) await new Promise<void>((resolve) => (wake = resolve));
    return this.#judge(octets, sent, isOpen);
  }

  /** Each whole message of an open session has one reply, up to the one that ended it. */
  #judge(octets: Uint8Array, sent: readonly Uint8Array[], isOpen: boolean): string | undefined {
    const kinds = sent.map((message) => message[0] ?? 0);
    const replies = kinds.filter((kind) => kind === 2 || kind === 3).length;
    const notices = kinds.filter((kind) => kind === 4).length;
    this.counts.said += 1;
    this.counts.replies += replies;
    this.counts.faults += notices;
    this.counts.closed += 1;
    const wanted = isOpen ? requestsIn(octets) : undefined;
    if (wanted !== undefined && replies !== wanted) return `${replies} replies to ${wanted} messages`;
    return undefined;
  }
}

/** Whole messages, up to and with one that ends the session in order. */
function requestsIn(octets: Uint8Array): number {
  const reader = new MessageReader();
  reader.push(octets);
  let count = 0;
  for (;;) {
    const message = reader.next(PAYLOAD_MAX);
    if (message === undefined || message === "header-length") return count;
    count += 1;
    const { code, length } = decodeHeader(message);
    if (code === 0x0103 && length === 0) return count;
  }
}
