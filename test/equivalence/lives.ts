/**
 * Lives of TCP connections, segment by segment, judged with seals by a real kernel and the firewall behind
 * it, and by the interpreter.
 *
 * Each life has ends of its own. Its segments are drawn from a few words in any order, so most are lives that
 * no TCP leads. An end counts what it has sent; a SYN of it is the same one again.
 */
import assert from "node:assert/strict";
import { HOOK, PROTOCOL, TCP_FLAG, verdictName } from "#base";
import { compilePolicy, type Policy } from "#policy";
import { buildPacket, decodePacket, Packet } from "#wire";
import type { KernelJudge } from "./kernel-judge.ts";
import { type JudgedPacket, setNumber, TIME_TO_LIVE } from "./packets.ts";
import { referenceEngine } from "./reference.ts";

const { SYN, ACK, FIN, RST } = TCP_FLAG;

/** What a segment may say; `N` is a SYN with numbers that its sender has never used. */
const FLAGS = { S: SYN, N: SYN, SA: SYN | ACK, A: ACK, FA: FIN | ACK, R: RST, RA: RST | ACK } as const;

type Word = keyof typeof FLAGS;

/** One segment: `<` comes in, `>` goes out. */
export type Segment = `${"<" | ">"}${Word}`;

/** The segments of a connection, in their order. */
export type Life = readonly Segment[];

/** A verdict that is not the interpreter's, the first of its life. */
export interface Difference {
  /** The life up to that segment. */
  readonly life: string;
  readonly kernel: string;
  readonly interpreter: string;
}

const REMOTE = { address: "192.0.2.130", first: 1000 };
const LOCAL = { address: "10.0.0.1", first: 50_000 };
const LOCAL_PORT = 443;
const FIRST_REMOTE_PORT = 10_000;
/** From the numbers of a SYN to those of the next with other ones: more than any window. */
const FAR = 100_000_000;

/** One end of a life. */
class End {
  readonly address: string;
  readonly port: number;
  #first: number;
  next: number;

  constructor({ address, first }: typeof REMOTE, port: number) {
    this.address = address;
    this.port = port;
    this.#first = first;
    this.next = first;
  }

  /** Number of the segment that it sends next. */
  say(word: Word): number {
    const flags = FLAGS[word];
    if (word === "N") this.#first += FAR;
    if ((flags & SYN) !== 0) this.next = this.#first;
    const sequence = this.next;
    if ((flags & (SYN | FIN)) !== 0) this.next += 1;
    return sequence;
  }
}

/** Segments of a life as packets. @param numberFrom - of the first packet */
function packetsOf(life: Life, index: number, numberFrom: number): JudgedPacket[] {
  const ends = { remote: new End(REMOTE, FIRST_REMOTE_PORT + index), local: new End(LOCAL, LOCAL_PORT) };
  return life.map((segment, at) => {
    const isIn = segment.startsWith("<");
    const word = segment.slice(1) as Word;
    const [from, to] = isIn ? [ends.remote, ends.local] : [ends.local, ends.remote];
    const bytes = buildPacket({
      source: from.address,
      destination: to.address,
      protocol: PROTOCOL.TCP,
      sourcePort: from.port,
      destinationPort: to.port,
      flags: FLAGS[word],
      sequence: from.say(word),
      acknowledgement: (FLAGS[word] & ACK) === 0 ? 0 : to.next,
      timeToLive: TIME_TO_LIVE,
    });
    setNumber(bytes, numberFrom + at);
    return {
      bytes,
      hook: isIn ? "INPUT" : "OUTPUT",
      now: 1_000_000 + numberFrom + at,
      out: isIn ? "" : "to-client",
    };
  });
}

/** What the interpreter makes of a segment. */
interface Interpretation {
  readonly verdict: string;
  /**
   * True for a reset that our table can hold against no numbers; then the kernel knows better what it ends.
   */
  readonly isStray: boolean;
}

/** The interpreter's verdicts. */
function interpret(
  judge: KernelJudge,
  policy: Policy,
  packets: readonly JudgedPacket[],
): readonly Interpretation[] {
  const { engine } = referenceEngine(policy, (index) => judge.interfaceName(index));
  const { tracker } = engine;
  const packet = new Packet();
  return packets.map(({ bytes, hook, now, out }) => {
    packet.hook = HOOK[hook];
    packet.inInterface = hook === "OUTPUT" ? 0 : judge.interfaceIndex("to-client");
    packet.outInterface = judge.interfaceIndex(out);
    decodePacket(packet, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length);
    const verdict = verdictName(engine.judge(packet, now));
    const isReset = (packet.tcpFlags & RST) !== 0;
    return { verdict, isStray: isReset && tracker.slot >= 0 && tracker.flows.isSloppy(tracker.slot) };
  });
}

/**
 * Leads lives through the kernel and through the interpreter.
 *
 * Of a connection that is older than the firewall, or the beginning of which the policy has dropped, our
 * table knows no numbers to hold a reset against, and the kernel's does: such a life is compared up to its
 * reset.
 *
 * @returns the first difference of each life that has one, the shortest lives first
 */
export function compareLives(judge: KernelJudge, source: object, lives: readonly Life[]): Difference[] {
  const { policy } = compilePolicy(JSON.stringify(source), { file: "policy.json" });
  assert.ok(policy !== undefined, JSON.stringify(source));
  judge.load(policy, { tracksConnections: true, seals: true });
  let count = 1;
  const runs = lives.map((life, index) => {
    const packets = packetsOf(life, index, count);
    count += packets.length;
    return packets;
  });
  const outcomes = judge.judge(runs.flat());
  const wanted = interpret(judge, policy, runs.flat());
  let from = 0;
  const found = lives.flatMap((life): Difference[] => {
    const start = from;
    from += life.length;
    const stray = life.findIndex((_, place) => wanted[start + place]?.isStray === true);
    const compared = stray < 0 ? life : life.slice(0, stray + 1);
    const at = compared.findIndex(
      (_, place) => outcomes[start + place]?.verdict !== wanted[start + place]?.verdict,
    );
    if (at < 0) return [];
    const [kernel = "", interpreter = ""] = [outcomes[start + at]?.verdict, wanted[start + at]?.verdict];
    return [{ life: life.slice(0, at + 1).join(" "), kernel, interpreter }];
  });
  return found.toSorted((one, other) => one.life.length - other.life.length);
}
