/**
 * Errors come in three kinds. A *fault* is a bad packet: a string literal, returned, counted, never thrown.
 * A *failure* is a {@link FirewallError}: the system said no, or a file is wrong. A *bug* is an
 * {@link InvariantError}: the program is not what it believes to be, and the daemon stops.
 */

/** Facts that go with a failure: what a program needs to act on it. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** What a {@link FirewallError} is made of besides its message. */
export interface ErrorFacts {
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
}

/**
 * A failure that a person or a program can act on.
 *
 * The message says what happened, where, and what to do. `code` is stable across releases.
 */
export class FirewallError extends Error {
  /** Stable, upper-case identifier such as `POLICY_INVALID` or `NETLINK_REFUSED`. */
  readonly code: string;
  readonly details: ErrorDetails;

  /**
   * @param code - stable identifier in upper case
   * @param message - what happened, where, and what to do
   * @param facts - details for programs, and the error that lies beneath
   */
  constructor(code: string, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = "FirewallError";
    this.code = code;
    this.details = facts.details ?? {};
  }
}

/** What the system's commonest answers about files mean, and what to do, by errno's name. */
const FILE_ANSWERS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  EACCES: "this user may not (permission denied): become its owner or root, or choose another place",
  EPERM: "this user may not (permission denied): become its owner or root, or choose another place",
  EISDIR: "it is a folder, not a file",
  ENOTDIR: "a part of the path is no folder",
  ENOSPC: "the disk is full: make room, or choose another place",
  EROFS: "the file system is read-only: choose another place",
};

/**
 * A failure about a file or folder, in words instead of errno's.
 *
 * @param code - stable identifier in upper case
 * @param action - what could not be done, and to which file: `cannot read the policy p.json`
 * @param cause - what the system threw
 */
export function fileFailure(code: string, action: string, cause: unknown): FirewallError {
  const name = (cause as { code?: string } | null)?.code ?? "";
  const message = cause instanceof Error ? cause.message : String(cause);
  return new FirewallError(code, `${action}: ${FILE_ANSWERS[name] ?? message}`, { cause });
}

/** The program broke one of its own promises. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/**
 * Asserts what must hold unless the program has a bug.
 *
 * @param condition - what must be true
 * @param message - which promise is broken when it is not
 * @throws {InvariantError} when `condition` is false
 */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
