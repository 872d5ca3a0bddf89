/**
 * A capture judged by a policy as if it happened now: the capture's clock, a state table of its own, no
 * kernel.
 */
import { HOOK, type Hook, type Milliseconds, type Prefix } from "../base/index.ts";
import { COUNTERS, Engine, type EngineOptions } from "../engine/index.ts";
import type { Policy, RuleMemory, RuleReport } from "../policy/index.ts";
import { Tracker } from "../state/index.ts";
import { type CaptureRecord, decodeRecord, Packet } from "../wire/index.ts";
import { readCapture } from "./capture-file.ts";

/** Told of each packet of the capture. */
export interface ReplayListener {
  /** The packet was judged; engine and packet are valid during the call only. */
  judged(number: number, packet: Packet, engine: Engine): void;
  /** The frame carries no IP packet, so no hook ever sees it. */
  passedBy(number: number): void;
}

/** How a capture is replayed. */
export interface ReplayOptions {
  readonly policy: Policy;
  /** Of its rules, with its tables filled. */
  readonly memory: RuleMemory;
  readonly capture: string;
  /** Addresses of the host that the policy is for. */
  readonly local: readonly Prefix[];
  /** Takes what rules print and log. */
  readonly report: RuleReport;
  /** Told when a recogniser of the policy's own fails. */
  readonly recogniserFailed: NonNullable<EngineOptions["recogniserFailed"]>;
}

/** Hook by address: to a local one INPUT, from one OUTPUT, any other FORWARD. */
function hookOf(packet: Packet, local: readonly Prefix[]): Hook {
  const { family } = packet;
  if (family === 0) return HOOK.INPUT;
  if (local.some((prefix) => prefix.contains(family, packet.destination))) return HOOK.INPUT;
  if (local.some((prefix) => prefix.contains(family, packet.source))) return HOOK.OUTPUT;
  return HOOK.FORWARD;
}

/** Replays one capture. */
class Replay {
  readonly #options: ReplayOptions;
  readonly #engine: Engine;
  readonly #packet: Packet = new Packet();
  /** Names of the capture's interfaces; a packet's interface index is the place of its name here. */
  readonly #interfaces: string[] = [""];
  #startMs: Milliseconds | undefined;
  #now: Milliseconds = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    const { policy, memory } = options;
    const { limits, timeouts, strictTcp } = policy.settings;
    this.#engine = new Engine({
      initial: { policy, memory, revision: 1 },
      tracker: new Tracker({
        capacity: limits.flows,
        timeouts,
        strict: strictTcp,
        removed: (slot) => this.#engine.removed(slot),
      }),
      report: options.report,
      interfaceName: (index) => this.#interfaces[index] ?? "",
      counters: new Float64Array(COUNTERS.length),
      recogniserFailed: options.recogniserFailed,
    });
  }

  judge(record: CaptureRecord, listener: ReplayListener): void {
    const packet = this.#packet;
    if (!decodeRecord(packet, record)) {
      listener.passedBy(record.number);
      return;
    }
    this.#startMs ??= record.timestampMs;
    // A capture may be out of order; time is not.
    this.#now = Math.max(this.#now, record.timestampMs - this.#startMs);
    packet.hook = hookOf(packet, this.#options.local);
    const index = this.#interfaceIndex(record.interfaceName);
    packet.inInterface = packet.hook === HOOK.OUTPUT ? 0 : index;
    packet.outInterface = packet.hook === HOOK.OUTPUT ? index : 0;
    this.#engine.expire(this.#now);
    this.#engine.judge(packet, this.#now);
    listener.judged(record.number, packet, this.#engine);
  }

  #interfaceIndex(name: string): number {
    const known = this.#interfaces.indexOf(name);
    return known >= 0 ? known : this.#interfaces.push(name) - 1;
  }
}

/**
 * Judges every packet of a capture.
 *
 * @throws {FirewallError} `CAPTURE_INVALID` when the file is no capture or ends inside a record; packets
 *   before that place were judged
 */
export async function replayCapture(options: ReplayOptions, listener: ReplayListener): Promise<void> {
  const replay = new Replay(options);
  await readCapture(options.capture, options.policy.settings.limits, (record) =>
    replay.judge(record, listener),
  );
}
