/**
 * A SIMCO door with pinholes behind it, and agents that say every octet themselves.
 *
 * The sockets are real, the packet filter is the simulator, which the pinholes' own suites hold against the
 * kernel; time goes on by itself, and further when a test says so.
 */
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { TLSSocket } from "node:tls";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { SimulatedPinholes } from "#backend";
import { defaultLimits, type FirewallError, type LimitValues, parseAddress } from "#base";
import {
  AgentDirectory,
  Log,
  MemoryJournal,
  openSimcoDoor,
  type PinholeDoor,
  type PinholeJournal,
  PinholeService,
  type SimcoPlace,
} from "#daemon";
import { type PacketFacts, type PinholeEventRecord, PinholeStore, type TranslationPlan } from "#pinhole";
import {
  decodeFromMiddlebox,
  decodeHeader,
  encodeMessage,
  HEADER_OCTETS,
  makeToken,
  type Message,
  type MessageName,
  type MessageOf,
  PAYLOAD_MAX,
  MessageReader,
  ROLE,
} from "#simco";
import { closeAtEnd, fakeEntropy, octetsOf, PATIENCE_MS } from "#testing";

/** Key of every agent, and of the middlebox: that of the vectors. */
export const KEY: Uint8Array = Uint8Array.from({ length: 32 }, (_, index) => index);

/** What the middlebox calls itself in the vectors. */
export const BOX_NAME = "fw1";

const KEY_TEXT = Buffer.from(KEY).toString("hex");
const FAST = { requestsPerSecond: 1_000_000, requestBurst: 1_000_000 };

/** HMAC-SHA-256. */
export function mac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update(data).digest();
}

/** Profiles and agents of every test. */
const PROFILES: Readonly<Record<string, object>> = {
  calls: { ...FAST },
  admin: { ...FAST, administrator: true },
  reader: { ...FAST, readsAll: true },
};
const AGENTS: Readonly<Record<string, string>> = {
  "agent-1": "calls",
  other: "calls",
  admin: "admin",
  reader: "reader",
};

/** How a rig differs from the usual one. */
export interface RigOptions {
  readonly place?: Partial<SimcoPlace>;
  readonly limits?: Partial<LimitValues>;
  /** Profiles of more agents, each of the name of its profile. */
  readonly profiles?: Readonly<Record<string, object>>;
  readonly hideForeign?: boolean;
  readonly journal?: PinholeJournal;
  /** True: the middlebox cannot prove who it is. */
  readonly keyless?: boolean;
  /** Names in certificates of agents. */
  readonly certificates?: Readonly<Record<string, readonly string[]>>;
  /** Addresses to translate to; absent: a pure filter. */
  readonly translation?: TranslationPlan;
  /** Seconds that the clock is ahead. */
  readonly ahead?: number;
}

/** Something that may be a message: header and all. */
export type Octets = Uint8Array | string;

/** One connection of an agent. */
export class AgentWire {
  /** Notifications that came while a reply was waited for. */
  readonly notices: Message[] = [];
  readonly #socket: Socket;
  readonly #reader: MessageReader = new MessageReader();
  #messages: Uint8Array[] = [];
  #isClosed = false;
  #tid = 100;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (octets) => this.#take(octets));
    socket.on("error", () => undefined);
    const onEnd = (): void => {
      this.#isClosed = true;
      this.#wake();
    };
    socket.on("end", onEnd);
    socket.on("close", onEnd);
  }

  /** The socket, for what a well-behaved agent would not do. */
  get socket(): Socket {
    return this.#socket;
  }

  /** What only the two ends of a TLS connection know. */
  get binding(): Uint8Array {
    const label = "EXPORTER-Channel-Binding";
    return this.#socket instanceof TLSSocket
      ? this.#socket.exportKeyingMaterial(32, label, Buffer.alloc(0))
      : new Uint8Array(0);
  }

  /** Transaction identifiers without end. */
  tid(): number {
    this.#tid += 1;
    return this.#tid;
  }

  /** Sends octets, or the digits of octets. */
  send(octets: Octets): void {
    this.#socket.write(typeof octets === "string" ? octetsOf(octets) : octets);
  }

  /** The octets of the next message; undefined when the connection was closed instead. */
  async nextOctets(): Promise<Uint8Array | undefined> {
    const deadline = performance.now() + PATIENCE_MS;
    while (this.#messages.length === 0 && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 1000).unref();
      });
      if (performance.now() > deadline) throw new Error("no message came");
    }
    return this.#messages.shift();
  }

  /** The digits of the next message; empty when the connection was closed instead. */
  async nextHex(): Promise<string> {
    return Buffer.from((await this.nextOctets()) ?? []).toString("hex");
  }

  /** The next message; undefined when the connection was closed instead. */
  async next(): Promise<Message | undefined> {
    const octets = await this.nextOctets();
    return octets === undefined ? undefined : read(octets);
  }

  /** The next reply; notifications before it go to {@link AgentWire.notices}. */
  async reply(): Promise<Message | undefined> {
    for (;;) {
      const message = await this.next();
      const isNotice = message?.name === "ARE" || message?.name === "AST" || message?.name === "BFM";
      if (!isNotice || message === undefined) return message;
      this.notices.push(message);
    }
  }

  /** Sends a request and waits for its reply. */
  ask(request: Message): Promise<Message | undefined> {
    this.send(encodeMessage(request));
    return this.reply();
  }

  /** Sends a request, and demands a reply of this kind. */
  async must<Name extends MessageName>(name: Name, request: Message): Promise<MessageOf<Name>> {
    const reply = await this.ask(request);
    if (reply?.name !== name)
      throw new Error(`${request.name}: ${JSON.stringify(reply)} in place of ${name}`);
    return reply as MessageOf<Name>;
  }

  /** Sends a request, and says how it was refused; 0 when it was not. */
  async refusal(request: Message | Octets): Promise<number> {
    this.send(
      typeof request === "string" || request instanceof Uint8Array ? request : encodeMessage(request),
    );
    const reply = await this.reply();
    return reply?.name === "NEGATIVE" ? reply.code : 0;
  }

  /** The next notification, in its turn. */
  async notice(): Promise<Message | undefined> {
    return this.notices.shift() ?? this.next();
  }

  /** What came before everything that was sent until now was answered: a status request is the mark. */
  async settled(): Promise<readonly Message[]> {
    await this.must("PRL_REPLY", { name: "PRL", tid: this.tid() });
    return this.notices.splice(0);
  }

  /** True when the connection ends without another message. */
  async isClosed(): Promise<boolean> {
    return (await this.nextOctets()) === undefined;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(octets: Uint8Array): void {
    this.#reader.push(octets);
    for (;;) {
      const message = this.#reader.next(PAYLOAD_MAX);
      if (message === undefined || message === "header-length") break;
      this.#messages.push(new Uint8Array(message.buffer));
    }
    this.#wake();
  }
}

/** Reads a message of the middlebox. */
export function read(octets: Uint8Array): Message {
  const message = decodeFromMiddlebox(new DataView(octets.buffer, octets.byteOffset, octets.byteLength));
  if (typeof message === "string") throw new Error(`${message}: ${Buffer.from(octets).toString("hex")}`);
  return message;
}

/** The header that octets begin with. */
export function headerOf(octets: Uint8Array): ReturnType<typeof decodeHeader> {
  return decodeHeader(new DataView(octets.buffer, octets.byteOffset, HEADER_OCTETS));
}

/** A door, and everything behind it. */
export class SimcoRig {
  readonly service: PinholeService;
  readonly filter: SimulatedPinholes;
  readonly agents: AgentDirectory;
  readonly events: PinholeEventRecord[] = [];
  readonly port: number;
  /** What the filter says to the next plans; undefined for yes. */
  readonly answers: (FirewallError | undefined)[];
  readonly #door: PinholeDoor;
  readonly #folder: string;
  readonly #options: RigOptions;
  #isOpen = true;
  readonly #clock: { ahead: number };
  readonly #wires: AgentWire[] = [];

  private constructor(parts: {
    service: PinholeService;
    filter: SimulatedPinholes;
    agents: AgentDirectory;
    port: number;
    answers: (FirewallError | undefined)[];
    clock: { ahead: number };
    door: PinholeDoor;
    folder: string;
    options: RigOptions;
  }) {
    this.service = parts.service;
    this.filter = parts.filter;
    this.agents = parts.agents;
    this.port = parts.port;
    this.answers = parts.answers;
    this.#clock = parts.clock;
    this.#door = parts.door;
    this.#folder = parts.folder;
    this.#options = parts.options;
    this.service.listen((event) => this.events.push(event));
  }

  /** Opens a door on a free port of this machine. */
  static async open(options: RigOptions = {}): Promise<SimcoRig> {
    const clock = { ahead: (options.ahead ?? 0) * 1000 };
    const answers: (FirewallError | undefined)[] = [];
    const filter = new SimulatedPinholes((_plan, occasion) => {
      const answer = occasion === "commit" ? answers.shift() : undefined;
      if (answer !== undefined) throw answer;
    });
    const folder = mkdtempSync(join(tmpdir(), "postern-simco-"));
    const file = join(folder, "agents.json");
    writeFileSync(file, agentText(options));
    const agents = new AgentDirectory({ file });
    const limits = { ...defaultLimits(), ...options.limits };
    const service = await PinholeService.start({
      store: new PinholeStore({
        limits,
        expansionMax: 64,
        entropy: fakeEntropy(),
        hideForeign: agents.hidesForeign,
        ...(options.translation === undefined ? {} : { translation: options.translation }),
      }),
      journal: options.journal ?? new MemoryJournal(),
      backend: filter,
      moment: () => ({ now: performance.now() + clock.ahead, wall: Date.now() + clock.ahead }),
      bootId: "boot",
      eventsKept: 1000,
    });
    const log = new Log({ level: "CRITICAL" });
    const key = options.keyless === true ? {} : { key: KEY };
    const place = { host: "127.0.0.1", port: 0, identity: BOX_NAME, ...key, ...options.place };
    const door = await openSimcoDoor(place)({ service, agents, limits, log, version: "0.0.0" });
    const port = Number(/:(\d+)$/.exec(door.address)?.[1]);
    return new SimcoRig({ service, filter, agents, port, answers, clock, door, folder, options });
  }

  get now(): number {
    return this.service.moment.now;
  }

  /** Lets time pass. */
  advance(seconds: number): void {
    this.#clock.ahead += seconds * 1000;
  }

  /** Lets time pass, and everything end whose time is over. */
  async expire(seconds: number): Promise<void> {
    this.advance(seconds);
    await this.service.audit();
  }

  /**
   * True when a packet comes through the filter.
   *
   * @param way - such as `192.0.2.100:6004 > 10.1.8.3:5004`
   * @param opensTcp - a SYN without ACK
   */
  passes(way: string, protocol = 17, opensTcp = false): boolean {
    return this.verdict(way, protocol, opensTcp) === "accept";
  }

  /** What becomes of a packet: `none` when no rule says anything about it. */
  verdict(way: string, protocol = 17, opensTcp = false): "accept" | "drop" | "none" {
    const [source, destination] = way.split(" > ").map(endOf);
    if (source === undefined || destination === undefined) throw new Error(`${way} is no way of a packet`);
    const packet: PacketFacts = {
      family: source.family,
      protocol,
      source: source.words,
      destination: destination.words,
      sourcePort: source.port,
      destinationPort: destination.port,
      opensTcp,
    };
    return this.filter.judge(packet, this.now);
  }

  /** A connection that has said nothing yet. */
  async connect(port = this.port): Promise<AgentWire> {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    const wire = new AgentWire(socket);
    this.#wires.push(wire);
    return wire;
  }

  /** An open session of an agent. */
  async session(agent = "agent-1"): Promise<AgentWire> {
    const wire = await this.connect();
    const asked = await wire.must("SA_REPLY", { name: "SE", tid: 1, version: { major: 3, minor: 0 } });
    await wire.must("SE_REPLY", { name: "SA", tid: 2, token: tokenFor(agent, asked) });
    return wire;
  }

  /**
   * Waits until the door has read whatever was sent to it: an answer to somebody who speaks only now comes
   * behind that.
   */
  async hear(): Promise<void> {
    (await this.session()).close();
  }

  /** Takes everything special from an agent's profile; its sessions stay open. */
  demote(name: string): void {
    const profiles = { ...this.#options.profiles, [name]: {} };
    writeFileSync(join(this.#folder, "agents.json"), agentText({ ...this.#options, profiles }));
    this.agents.reload();
  }

  /** Closes the door; the pinholes stay. */
  async closeDoor(): Promise<void> {
    if (this.#isOpen) await this.#door.close();
    this.#isOpen = false;
  }

  /** Closes everything; a rig that a test leaves open is closed when all tests of its file have ended. */
  readonly close: () => Promise<void> = closeAtEnd(async () => {
    for (const wire of this.#wires) wire.close();
    await this.closeDoor();
    await this.service.close();
    rmSync(this.#folder, { recursive: true, force: true });
  });
}

function endOf(text: string): { family: 4 | 6; words: Uint32Array; port: number } {
  const [, v6, v4 = "", port] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/.exec(text) ?? [];
  const address = parseAddress(v6 ?? v4);
  if (address === undefined) throw new Error(`${text} is no address`);
  return { ...address, port: Number(port ?? 0) };
}

/** The token of an agent for the challenge of an SA reply. */
export function tokenFor(
  identity: string,
  { challenge = new Uint8Array(0) }: MessageOf<"SA_REPLY">,
  binding: Uint8Array = new Uint8Array(0),
): Uint8Array {
  return makeToken({ role: ROLE.AGENT, identity, challenge, binding }, KEY, mac);
}

/** The text of the agents' file. */
function agentText({ profiles = {}, hideForeign = false, certificates = {} }: RigOptions): string {
  const own = Object.fromEntries(Object.keys(profiles).map((name) => [name, name]));
  const all: Record<string, object> = { ...PROFILES };
  for (const [name, profile] of Object.entries(profiles)) all[name] = { ...FAST, ...profile };
  const agents = Object.entries({ ...AGENTS, ...own }).map(
    ([name, profile]) =>
      [name, { profile, simcoKey: KEY_TEXT, certificates: certificates[name] ?? [] }] as const,
  );
  return JSON.stringify({ hideForeign, profiles: all, agents: Object.fromEntries(agents) });
}
