/**
 * What a worker does while no packet has come yet: it judges made-up ones, so that the machine code for them
 * is there when real ones come. Without it V8 compiles beside the first thousands of connections, each of
 * which costs several times what it costs later.
 *
 * The packets take the whole way of real ones, by the same classes and calls: messages that are read from a
 * socket, a loop with a tracker and memory of its own, verdicts that are sent. But the sockets are pairs of
 * ours, and the policy is one of built-in rules without effects: nothing reaches the kernel's queues, its
 * connection tracking, the policy's own rules or anything that workers share, and what has been made is
 * forgotten. Rules of the policy in force are not rehearsed, since they may have effects.
 *
 * Nobody waits for it: the worker has its queues already, rehearses a turn whenever they are empty, and looks
 * at them again. {@link PACKETS} bound it.
 *
 * Each turn some connections begin, those of the turn before are answered, and so on, in small batches as in
 * a firewall that keeps up. A few are forwarded, a few are of UDP. V8 decides by the kinds of objects that
 * code has met, so packets and rules differ no more than they do in use, and no more kinds of rules are asked
 * than code for them tells apart at once (four).
 */
import { HOOK, type Hook, PROTOCOL, QUEUE_CLASSES, TCP_FLAG } from "../base/index.ts";
import { COUNTER, COUNTERS_BYTES } from "../engine/index.ts";
import { DEFAULT_MARK_MASK, encodeQueuePacket, REJECT_KIND, RejectMarks } from "../netlink/index.ts";
import { DatagramPair } from "../system/index.ts";
import { buildPacket, encodeTcpOptions, type PacketFields } from "../wire/index.ts";
import { QueueLoop } from "./queue-loop.ts";
import { FIRST_GENERATION } from "./seal-service.ts";
import { WAIT_BYTES } from "./wait-meter.ts";
import type { WorkerSettings } from "./worker-protocol.ts";

/** Packets until V8 has compiled what each of them runs through: a quarter of a second of processor time. */
export const PACKETS = 9000;

/** Conversations that begin in each turn. */
const BEGIN_PER_TURN = 4;

/** Of that many conversations one is forwarded, and another one is of UDP. */
const FORWARDED_EVERY = 8;
const UDP_EVERY = 16;

/** Turns in which whole conversations are judged once. */
export const FIRST_TURNS = 8;

/** Addresses for documentation (RFC 5737). */
const CLIENT = "192.0.2.1";
const SERVER = "198.51.100.7";
const SERVER_PORT = 80;
const FIRST_PORT = 1024;
const LAST_PORT = 65_535;

/** Interfaces by index; whether there are such does not matter. */
const INSIDE = 2;
const OUTSIDE = 3;

const IPV4_ETHER_TYPE = 0x0800;
/** Bytes of an IPv4 header without options, and where ports stand behind it (RFC 9293 section 3.1). */
const IPV4_BYTES = 20;
const SOURCE_PORT_AT = IPV4_BYTES;
const DESTINATION_PORT_AT = IPV4_BYTES + 2;

/** A number that none of the queues has: those of a firewall begin at its first queue, below a thousand. */
const NO_QUEUE = 65_535;

/** Sequence numbers of both ends, of which some are small integers for V8 and some are not. */
const SMALL_AND_LARGE = [1_000_000, 0xd000_0000] as const;
const LARGE_AND_SMALL = [0xb000_0000, 0x7000_0000] as const;

/** No owner of a packet is known. */
const NO_USER = -1;
const MARKS = new RejectMarks(DEFAULT_MARK_MASK);

/** Long enough a chain to be looked up; what is asked is the state of the flow, then ports. */
function rehearsalPolicy(readsBytes: boolean): object {
  const blocked = Array.from({ length: 20 }, (_, at) =>
    at % 2 === 0
      ? { name: "SourceIPRule", cidr_range: `100.64.${at}.0/24`, action: "DROP" }
      : {
          name: "IPPortRule",
          protocol: "TCP",
          src_ip: `100.65.${at}.0/24`,
          dst_lo: at,
          dst_hi: at,
          action: "DROP",
        },
  );
  const recognised = { name: "ProtocolRule", protocols: ["SSH"], action: "DROP" };
  const chain = [
    ...blocked,
    ...(readsBytes ? [recognised] : []),
    { name: "FlowRule", is: "known", action: "ACCEPT" },
    { name: "PortRule", protocol: "TCP", dst_port: SERVER_PORT, action: "ACCEPT" },
    { name: "PortRule", protocol: "UDP", dst_port: SERVER_PORT, action: "ACCEPT" },
  ];
  return {
    default_chain: "DROP",
    // As few and small as will do: their memory is touched now and given back at once.
    settings: { offload: "flows", limits: { flows: 16_384, batchPackets: 32, copyRangeBytes: 2048 } },
    INPUT: chain,
    OUTPUT: chain,
    FORWARD: chain,
  };
}

/** One packet of a conversation: the message about it, and where the client's port stands in it. */
interface Line {
  readonly queue: (typeof QUEUE_CLASSES)[number];
  readonly message: Uint8Array;
  readonly ports: DataView;
  readonly portAt: number;
}

interface LineForm {
  readonly isForwarded: boolean;
  readonly isAnswer: boolean;
  readonly queue: Line["queue"];
  readonly mark: number;
  readonly packet: Pick<PacketFields, "protocol"> & Partial<PacketFields>;
}

function hookOf({ isForwarded, isAnswer }: LineForm): Hook {
  if (isForwarded) return HOOK.FORWARD;
  return isAnswer ? HOOK.OUTPUT : HOOK.INPUT;
}

function line(form: LineForm): Line {
  const { isAnswer, queue, mark } = form;
  const packet = buildPacket({
    source: isAnswer ? SERVER : CLIENT,
    destination: isAnswer ? CLIENT : SERVER,
    sourcePort: isAnswer ? SERVER_PORT : FIRST_PORT,
    destinationPort: isAnswer ? FIRST_PORT : SERVER_PORT,
    ...form.packet,
  });
  const hook = hookOf(form);
  const owner = hook === HOOK.OUTPUT ? 0 : NO_USER;
  const message = encodeQueuePacket({
    queue: NO_QUEUE,
    id: 1,
    hook,
    etherType: IPV4_ETHER_TYPE,
    inInterface: hook === HOOK.OUTPUT ? 0 : isAnswer ? OUTSIDE : INSIDE,
    outInterface: hook === HOOK.INPUT ? 0 : isAnswer ? INSIDE : OUTSIDE,
    mark,
    userId: owner,
    groupId: owner,
    payload: packet,
  });
  // An attribute is filled up to a multiple of four bytes.
  const packetAt = message.length - Math.ceil(packet.length / 4) * 4;
  return {
    queue,
    message,
    ports: new DataView(message.buffer, message.byteOffset),
    portAt: packetAt + (isAnswer ? DESTINATION_PORT_AT : SOURCE_PORT_AT),
  };
}

const { SYN, ACK, PSH } = TCP_FLAG;
const { TCP, UDP } = PROTOCOL;
const REQUEST = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
const ANSWER = new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");

/** What Linux offers in a handshake, and says later. */
function options(value: number, echo: number, opens: boolean): Uint8Array {
  const timestamps = [value, echo] as const;
  if (!opens) return encodeTcpOptions({ timestamps });
  return encodeTcpOptions({ timestamps, maximumSegmentSize: 1460, sackPermitted: true, windowScale: 7 });
}

/**
 * A connection: its handshake, and where rules read bytes a request and its answer too.
 *
 * @param first - numbers of client and server
 */
function tcpLines(isForwarded: boolean, readsBytes: boolean, first: readonly [number, number]): Line[] {
  const [client, server] = first;
  const at = (number: number, more: number): number => (number + more) >>> 0;
  const marks = readsBytes ? REJECT_KIND.VOUCHED : REJECT_KIND.SEAL_ACCEPT;
  const says = (packet: Partial<PacketFields>): LineForm => ({
    isForwarded,
    isAnswer: false,
    queue: "known",
    mark: MARKS.bits(marks),
    packet: {
      protocol: TCP,
      flags: ACK,
      sequence: at(client, 1),
      acknowledgement: at(server, 1),
      tcpOptions: options(client, server, false),
      ...packet,
    },
  });
  const opening = { flags: SYN, sequence: client, acknowledgement: 0, tcpOptions: options(client, 0, true) };
  const answering = {
    flags: SYN | ACK,
    sequence: server,
    acknowledgement: at(client, 1),
    tcpOptions: options(server, client, true),
  };
  const handshake = [
    line({ ...says(opening), queue: "tcp", mark: 0 }),
    line({ ...says(answering), isAnswer: true, mark: 0 }),
    line(says({})),
  ];
  if (!readsBytes) return handshake;
  const answered = {
    flags: PSH | ACK,
    sequence: at(server, 1),
    acknowledgement: at(client, 1 + REQUEST.length),
    tcpOptions: options(server, client, false),
    payload: ANSWER,
  };
  return [
    ...handshake,
    line(says({ flags: PSH | ACK, payload: REQUEST })),
    line({ ...says(answered), isAnswer: true }),
  ];
}

function udpLines(): Line[] {
  const packet = { protocol: UDP, payload: Uint8Array.of(1, 2, 3, 4) };
  const form = { isForwarded: false, isAnswer: false, mark: 0, queue: "known", packet } as const;
  return [line({ ...form, queue: "other" }), line({ ...form, isAnswer: true }), line(form)];
}

type Pairs = ReadonlyMap<Line["queue"], DatagramPair>;

/** One that has begun, by the number that its client's port follows from. */
interface Conversation {
  readonly number: number;
  readonly lines: readonly Line[];
  said: number;
}

/** What a loop is made of that shares nothing with the worker's own. */
function ownSettings(settings: WorkerSettings, pairs: Pairs): WorkerSettings {
  return {
    ...settings,
    queues: [...pairs].map(([of, { fd }]) => ({
      class: of,
      queue: NO_QUEUE,
      fd,
      waits: new SharedArrayBuffer(WAIT_BYTES),
    })),
    heartbeat: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
    counters: new SharedArrayBuffer(COUNTERS_BYTES),
    wakeFd: -1,
    policy: { file: "/rehearsal", text: JSON.stringify(rehearsalPolicy(settings.readsBytes)) },
    revision: 1,
    memory: {},
    seals: true,
  };
}

/**
 * Loops that take turns. Of one alone V8 would take the functions and maps it meets for the only ones there
 * are, and compile anew for the worker's own.
 */
const LOOPS = 2;

/** A loop, and the other ends of its queues. */
interface Stage {
  readonly loop: QueueLoop;
  readonly pairs: Pairs;
  readonly counters: Float64Array;
}

/** See the head of this file. */
export class Rehearsal {
  readonly #stages: readonly Stage[];
  readonly #tcp: readonly Line[];
  readonly #forwarded: readonly Line[];
  readonly #udp: readonly Line[] = udpLines();
  #open: Conversation[] = [];
  #begun = 0;
  /** Packets judged so far. */
  judged = 0;

  private constructor(stages: readonly Stage[], readsBytes: boolean) {
    this.#stages = stages;
    this.#tcp = tcpLines(false, readsBytes, SMALL_AND_LARGE);
    this.#forwarded = tcpLines(true, readsBytes, LARGE_AND_SMALL);
  }

  /**
   * Makes everything that it takes.
   *
   * @param settings - of the worker
   * @throws {FirewallError} `SYSTEM_REFUSED` when there is no file descriptor left
   */
  static async open(settings: WorkerSettings): Promise<Rehearsal> {
    const { readsBytes } = settings;
    const stages: Stage[] = [];
    for (let count = 0; count < LOOPS; count += 1) {
      const pairs: Pairs = new Map(QUEUE_CLASSES.map((of) => [of, DatagramPair.open()]));
      const own = ownSettings(settings, pairs);
      const loop = await QueueLoop.open(own, () => undefined);
      loop.resumeSeals(FIRST_GENERATION);
      stages.push({ loop, pairs, counters: new Float64Array(own.counters) });
    }
    return new Rehearsal(stages, readsBytes);
  }

  /** Has each loop judge a line of each conversation. @returns false when it is over */
  turn(): boolean {
    for (let count = 0; count < BEGIN_PER_TURN; count += 1) this.#begin();
    for (const { loop, pairs } of this.#stages) {
      for (const conversation of this.#open) this.#say(conversation, pairs);
      this.judged += loop.turn(0);
      for (const pair of pairs.values()) while (pair.hear() !== undefined);
    }
    for (const conversation of this.#open) conversation.said += 1;
    this.#open = this.#open.filter(({ said, lines }) => said < lines.length);
    return this.judged < PACKETS;
  }

  /** Flows that were entered and are there, those that were sealed, and packets that were not accepted. */
  get made(): { readonly flows: number; readonly sealed: number; readonly refused: number } {
    const sum = { flows: 0, sealed: 0, refused: 0 };
    for (const { loop, counters } of this.#stages) {
      sum.flows += loop.status().flows;
      sum.sealed += counters[COUNTER.sealed] ?? 0;
      sum.refused += (counters[COUNTER.packets] ?? 0) - (counters[COUNTER.accepted] ?? 0);
    }
    return sum;
  }

  /** Gives everything back. */
  close(): void {
    for (const { loop, pairs } of this.#stages) {
      loop.close();
      for (const pair of pairs.values()) pair.close();
    }
  }

  #begin(): void {
    const number = this.#begun;
    this.#begun += 1;
    const isForwarded = number % FORWARDED_EVERY === 1;
    const lines = number % UDP_EVERY === 2 ? this.#udp : isForwarded ? this.#forwarded : this.#tcp;
    this.#open.push({ number, lines, said: 0 });
  }

  #say({ number, lines, said }: Conversation, pairs: Pairs): void {
    const spoken = lines[said];
    if (spoken === undefined) return;
    spoken.ports.setUint16(spoken.portAt, FIRST_PORT + (number % (LAST_PORT - FIRST_PORT)));
    pairs.get(spoken.queue)?.say(spoken.message);
  }
}
