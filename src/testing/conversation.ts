/** A TCP connection as a script: each line is a segment with the numbers that real ends would give it. */
import { HOOK, type Hook, PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { buildPacket, decodePacket, Packet, type PacketFields } from "../wire/index.ts";

const FLAGS = {
  S: TCP_FLAG.SYN,
  A: TCP_FLAG.ACK,
  F: TCP_FLAG.FIN,
  R: TCP_FLAG.RST,
  P: TCP_FLAG.PSH,
} as const;

/** Control bits of letters such as `SA`. `-` means none. */
export function flagsOf(letters: string): number {
  let flags = 0;
  for (const letter of letters.replace("-", "")) flags |= FLAGS[letter as keyof typeof FLAGS];
  return flags;
}

/**
 * Fields of a segment that differ from what the script would give it. One with its own sequence moves nothing
 * on.
 */
export type SegmentFields = Partial<PacketFields> & {
  /** Payload length, in bytes. */
  readonly bytes?: number;
};

interface End {
  readonly address: string;
  readonly port: number;
  next: number;
}

/** Packet of these fields, met at a hook. */
export function packetAt(hook: Hook, fields: PacketFields): Packet {
  const bytes = buildPacket(fields);
  const packet = new Packet();
  packet.hook = hook;
  decodePacket(packet, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.byteLength);
  return packet;
}

/** Who talks to whom. */
export interface ConversationOptions {
  readonly remote?: string;
  readonly local?: string;
  readonly remotePort?: number;
  readonly localPort?: number;
  /** Met at FORWARD, where the end called local is the responder. */
  readonly forwarded?: boolean;
}

/** A connection between a remote and a local end. */
export class Conversation {
  readonly remote: End;
  readonly local: End;
  readonly #forwarded: boolean;

  constructor(options: ConversationOptions = {}) {
    this.remote = { address: options.remote ?? "192.0.2.1", port: options.remotePort ?? 40_000, next: 1000 };
    this.local = {
      address: options.local ?? "198.51.100.7",
      port: options.localPort ?? 443,
      next: 0xfffffff0,
    };
    this.#forwarded = options.forwarded ?? false;
  }

  /** A segment that the local end receives. */
  received(letters: string, fields: SegmentFields = {}): Packet {
    return this.#segment(
      this.remote,
      this.local,
      this.#forwarded ? HOOK.FORWARD : HOOK.INPUT,
      letters,
      fields,
    );
  }

  /** A segment that the local end sends. */
  sent(letters: string, fields: SegmentFields = {}): Packet {
    return this.#segment(
      this.local,
      this.remote,
      this.#forwarded ? HOOK.FORWARD : HOOK.OUTPUT,
      letters,
      fields,
    );
  }

  /** A segment of a script's word: `in:SA` or `out:A`. */
  play(word: string): Packet {
    const [way, letters] = word.split(":") as [string, string];
    return way === "in" ? this.received(letters) : this.sent(letters);
  }

  // oxlint-disable-next-line max-params -- both ends, the place and the content are what a segment is
  #segment(from: End, to: End, hook: Hook, letters: string, fields: SegmentFields): Packet {
    const { bytes = 0, ...rest } = fields;
    const flags = flagsOf(letters);
    const packet = packetAt(hook, {
      source: from.address,
      destination: to.address,
      protocol: PROTOCOL.TCP,
      sourcePort: from.port,
      destinationPort: to.port,
      flags,
      sequence: from.next,
      acknowledgement: (flags & TCP_FLAG.ACK) === 0 ? 0 : to.next,
      payload: new Uint8Array(bytes),
      ...rest,
    });
    const length = bytes + (letters.includes("S") ? 1 : 0) + (letters.includes("F") ? 1 : 0);
    if (fields.sequence === undefined) from.next = (from.next + length) >>> 0;
    return packet;
  }
}
