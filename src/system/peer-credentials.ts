/**
 * Who is at the other end of a Unix socket. The kernel says it, as it was when the connection was made; the
 * peer cannot claim to be somebody else.
 */
import type { Socket } from "node:net";
import { ERRNO, getsockopt, lastErrno } from "./libc.ts";
import { expectSuccess } from "./system-error.ts";

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;

// struct ucred: process, user and group, 32 bits each.
const UCRED_WORDS = 3;
/** So many supplementary groups are asked for first; the kernel says when there are more. */
const GROUPS_FIRST = 32;

/** A process, as the kernel saw it when it connected. */
export interface PeerCredentials {
  readonly processId: number;
  readonly userId: number;
  /** Its group, then its supplementary groups. */
  readonly groupIds: readonly number[];
}

/** The part of a socket's handle that tells its file descriptor; Node.js has no other way to it. */
interface Descriptor {
  readonly _handle?: { readonly fd?: number } | null;
}

function readOption(fd: number, option: number, words: number): Uint32Array {
  const value = new Uint32Array(words);
  const bytes = new Uint32Array([value.byteLength]);
  const outcome = getsockopt(fd, SOL_SOCKET, option, value.buffer, bytes.buffer);
  const wanted = (bytes[0] ?? 0) / Uint32Array.BYTES_PER_ELEMENT;
  if (outcome === -1 && lastErrno() === ERRNO.ERANGE && wanted > words) return readOption(fd, option, wanted);
  expectSuccess(outcome, "PEER_UNKNOWN", "Cannot ask who is at the other end");
  return value.subarray(0, wanted);
}

/**
 * The process at the other end.
 *
 * @param socket - a connection on a Unix socket
 * @returns undefined when the connection is closed already
 * @throws {FirewallError} `PEER_UNKNOWN` when the kernel does not tell
 */
export function readPeerCredentials(socket: Socket): PeerCredentials | undefined {
  const fd = (socket as unknown as Descriptor)._handle?.fd;
  if (fd === undefined || fd < 0) return undefined;
  const [processId = 0, userId = 0, groupId = 0] = readOption(fd, SO_PEERCRED, UCRED_WORDS);
  return { processId, userId, groupIds: [groupId, ...readOption(fd, SO_PEERGROUPS, GROUPS_FIRST)] };
}
