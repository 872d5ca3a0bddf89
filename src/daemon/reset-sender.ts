/**
 * Resets for connections that were killed or refused when they already stood: with the numbers that an end
 * expects next, so that it believes them (RFC 5961 section 3.2: "If the RST bit is set and the sequence
 * number exactly matches the next expected sequence number"). An end that expects another number, because
 * bytes got lost on the way to it, asks back (a "challenge ACK"), and the answer to that has the right one.
 */
import type { ExpectedReset } from "../backend/index.ts";
import { FirewallError, formatAddress, PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { RawSocket } from "../system/index.ts";
import { STATE_END, type State } from "../view/index.ts";
import { DIRECTION, PEER, type Tracker } from "../state/index.ts";
import { buildPacket, type Packet } from "../wire/index.ts";

/** One reset: whose name it bears, and whom it is for. */
export interface Reset extends ExpectedReset {
  readonly sequence: number;
  readonly acknowledgement: number;
}

/**
 * How a reset is addressed to the remote and to the local end of a connection; none for what is no
 * connection.
 *
 * Each end is told with the addresses that it knows: whoever spoke first those before translation, the other
 * those behind it. No translation is left in the kernel when its entry was deleted before.
 */
export function endsOf(state: State): readonly ExpectedReset[] {
  const { nk, sk } = state;
  if (state.protocol !== PROTOCOL.TCP) return [];
  const { LOCAL, REMOTE } = STATE_END;
  const remoteKnows = state.direction === "in" ? sk : nk;
  const localKnows = state.direction === "in" ? nk : sk;
  const toRemote = {
    source: remoteKnows.addresses[LOCAL],
    sourcePort: remoteKnows.ports[LOCAL],
    destination: remoteKnows.addresses[REMOTE],
    destinationPort: remoteKnows.ports[REMOTE],
  };
  const toLocal = {
    source: localKnows.addresses[REMOTE],
    sourcePort: localKnows.ports[REMOTE],
    destination: localKnows.addresses[LOCAL],
    destinationPort: localKnows.ports[LOCAL],
  };
  return [toRemote, toLocal];
}

/** The two resets that end a connection; none where it has none, or where its numbers are not known. */
export function resetsFor(state: State): Reset[] {
  const [toRemote, toLocal] = endsOf(state);
  const [local, remote] = [state.src.sequenceLow, state.dst.sequenceLow];
  if (toRemote === undefined || toLocal === undefined || local === null || remote === null) return [];
  return [
    { ...toRemote, sequence: local, acknowledgement: remote },
    { ...toLocal, sequence: remote, acknowledgement: local },
  ];
}

/**
 * The reset for the end that a refused packet was meant for. The other end, its sender, is answered by the
 * kernel.
 *
 * @param packet - was refused
 * @param tracker - has looked it up
 * @returns `undefined` for what is no connection
 */
export function resetBeyond(packet: Packet, { slot, direction, flows }: Tracker): Reset | undefined {
  const { family } = packet;
  if (!packet.isTcp || slot < 0 || family === 0) return undefined;
  const original = flows.originalFlowing(slot);
  const other = original === PEER.REMOTE ? PEER.LOCAL : PEER.REMOTE;
  const [sender, receiver] = direction === DIRECTION.ORIGINAL ? [original, other] : [other, original];
  return {
    source: formatAddress(family, packet.source),
    sourcePort: packet.sourcePort,
    destination: formatAddress(family, packet.destination),
    destinationPort: packet.destinationPort,
    sequence: flows.sequenceEnd(slot, sender),
    acknowledgement: flows.sequenceEnd(slot, receiver),
  };
}

/**
 * What a question says. Linux acknowledges what lies outside a window twice a second at most for each
 * connection (net.ipv4.tcp_invalid_ratelimit), but always where there are data.
 */
const A_BYTE = new Uint8Array(1);
const NO_BYTES = new Uint8Array(0);

/** Sends resets, each family through a socket of its own. */
export class ResetSender {
  readonly #sockets = new Map<4 | 6, RawSocket>();
  readonly #held: Reset[] = [];

  /** Keeps a reset until the kernel has heard the verdict that is its reason. */
  hold(reset: Reset): void {
    this.#held.push(reset);
  }

  /** Sends what is held. @returns why it could not; `undefined` when it could */
  release(): string | undefined {
    try {
      for (const reset of this.#held) this.send(reset);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      this.#held.length = 0;
    }
  }

  /**
   * Sends one reset. An end that cannot be reached any more needs none.
   *
   * @returns false when there is no way to its destination
   */
  send(reset: Reset): boolean {
    return this.#send(reset, TCP_FLAG.RST | TCP_FLAG.ACK);
  }

  /**
   * Asks an end for an acknowledgment, which our rules answer with a reset.
   *
   * @param end - as a reset would be addressed to it
   * @param numbers - sequence numbers of the segments that ask
   * @returns false when there is no way to it
   */
  ask(end: ExpectedReset, numbers: readonly number[]): boolean {
    const sent = numbers.map((sequence) =>
      this.#send({ ...end, sequence, acknowledgement: 0 }, TCP_FLAG.ACK, A_BYTE),
    );
    return sent.every(Boolean);
  }

  /** Gives the sockets back. */
  close(): void {
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  #send(segment: Reset, flags: number, payload: Uint8Array = NO_BYTES): boolean {
    const packet = buildPacket({ ...segment, protocol: PROTOCOL.TCP, flags, window: 0, payload });
    try {
      this.#socket(segment.destination.includes(":") ? 6 : 4).send(packet);
      return true;
    } catch (error) {
      if (error instanceof FirewallError && error.code === "RAW_SEND_FAILED") return false;
      throw error;
    }
  }

  #socket(family: 4 | 6): RawSocket {
    const known = this.#sockets.get(family);
    if (known !== undefined) return known;
    const opened = RawSocket.open(family);
    this.#sockets.set(family, opened);
    return opened;
  }
}
