/**
 * The states of a session as the middlebox sees it (RFC 4540 section 7.1), as tables.
 *
 * What comes meets two tables: the first says whether the request may be looked at in this state, and how it
 * is refused if not; the second where the session goes with what became of it.
 */
import type { RequestName } from "../message.ts";
import type { ReplyName } from "../reply-code.ts";

/** States. `NOAUTH`: the agent has been answered, and must still prove who it is. */
export const SESSION_STATES = ["CLOSED", "NOAUTH", "OPEN"] as const;
/** A state. */
export type SessionState = (typeof SESSION_STATES)[number];

/** What may become of a request: it is carried out, or refused with a reply, and perhaps the connection. */
export type Admission = "process" | { readonly refusal: ReplyName; readonly closes: boolean };

const PROCESS = "process";
const NOT_YET = { refusal: "WRONG_SUBTYPE", closes: true } as const;
const NOT_AGAIN = { refusal: "NOT_APPLICABLE", closes: false } as const;

/** Requests about policy rules all meet the same row. */
type RequestClass = "SE" | "SA" | "ST" | "rule";

/** The table. */
export const ADMISSION = {
  CLOSED: { SE: PROCESS, SA: NOT_YET, ST: NOT_YET, rule: NOT_YET }, // DEC-03
  NOAUTH: { SE: NOT_AGAIN, SA: PROCESS, ST: PROCESS, rule: NOT_YET }, // DEC-04
  OPEN: { SE: NOT_AGAIN, SA: NOT_AGAIN, ST: PROCESS, rule: PROCESS }, // DEC-02
} as const satisfies Record<SessionState, Record<RequestClass, Admission>>;

/** What may become of a request in a state. */
export function admit(state: SessionState, request: RequestName): Admission {
  const isSession = request === "SE" || request === "SA" || request === "ST";
  return ADMISSION[state][isSession ? request : "rule"];
}

/** What happens to a session. */
export type SessionEvent =
  /** SE is answered with SE: nobody needs more proof. */
  | "accept"
  /** SE is answered with SA. */
  | "challenge"
  /** SA is answered with SE. */
  | "prove"
  /** Either side has had enough, or the connection is lost. */
  | "end";

/** A missing entry means: impossible in that state. */
export const SESSION_TABLE = {
  CLOSED: { accept: "OPEN", challenge: "NOAUTH", end: "CLOSED" },
  NOAUTH: { prove: "OPEN", end: "CLOSED" },
  OPEN: { end: "CLOSED" },
} as const satisfies Record<SessionState, Partial<Record<SessionEvent, SessionState>>>;

/** The state after an event; undefined when the event is impossible in that state. */
export function nextSessionState(state: SessionState, event: SessionEvent): SessionState | undefined {
  const row: Readonly<Partial<Record<SessionEvent, SessionState>>> = SESSION_TABLE[state];
  return row[event];
}
