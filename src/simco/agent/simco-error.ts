/** What can go wrong for an agent. */
import { type ErrorDetails, FirewallError } from "../../base/index.ts";
import { REPLY, replyName } from "../reply-code.ts";

/**
 * Why a request of an agent was not done, or may not have been.
 *
 * `SIMCO_REFUSED`: the middlebox said no, and nothing changed. `SIMCO_UNKNOWN`: the connection ended before
 * the answer; it may be done. `SIMCO_PROTOCOL`: the answer is none that may be given. `SIMCO_UNPROVEN`: the
 * middlebox did not prove who it is. `SIMCO_UNSUPPORTED`: the middlebox has said that it cannot do this.
 */
export type SimcoErrorCode =
  | "SIMCO_REFUSED"
  | "SIMCO_UNKNOWN"
  | "SIMCO_PROTOCOL"
  | "SIMCO_UNPROVEN"
  | "SIMCO_UNSUPPORTED";

/** A request of an agent failed. */
export class SimcoError extends FirewallError {
  declare readonly code: SimcoErrorCode;
  /** Number of the negative reply; 0 when there was none. */
  readonly reply: number;

  /**
   * @param code - what kind of failure
   * @param message - what happened and what to do
   * @param reply - number of the negative reply
   */
  constructor(code: SimcoErrorCode, message: string, reply = 0) {
    const details: ErrorDetails = reply === 0 ? {} : { reply };
    super(code, message, { details });
    this.name = "SimcoError";
    this.reply = reply;
  }
}

/** The failure that a negative reply stands for. */
export function refusalError(what: string, reply: number): SimcoError {
  const name = replyName(reply);
  const number = `0x${reply.toString(16).padStart(4, "0")}`;
  const reason = name === undefined ? "for a reason not known here" : REPLY[name].meaning;
  const words = name === undefined ? number : `${number} ${name}`;
  return new SimcoError("SIMCO_REFUSED", `The middlebox refuses ${what}: ${reason} (${words}).`, reply);
}
