/**
 * One session, as the agent sees it.
 *
 * Octets come in and go out through a transport; requests become promises. Replies may come in any order, and
 * notifications at any moment, also between a request and its reply: only basic types 2 and 3 answer a
 * request, whatever identifier a notification happens to have.
 */
import { type Milliseconds, SECOND } from "../../base/index.ts";
import { decodeFromMiddlebox } from "../decode.ts";
import { encodeMessage } from "../encode.ts";
import { MessageReader, PAYLOAD_MAX } from "../header.ts";
import type { Message, MessageOf, Request } from "../message.ts";
import { type Capabilities, VERSION } from "../parameter-set.ts";
import { claimedIdentity, isProof, type Mac, makeToken, ROLE } from "../token.ts";
import { refusalError, SimcoError } from "./simco-error.ts";

/** A connection to a middlebox. */
export interface AgentTransport {
  send(octets: Uint8Array): void;
  /** Sends what is waiting, and closes. */
  end(): void;
}

/** How an agent proves who it is, and wants proof. */
export interface AgentProof {
  readonly identity: string;
  /** Key that is shared with the middlebox. */
  readonly key: Uint8Array;
  /** What only the two ends of this connection know (RFC 9266); empty without TLS. */
  readonly binding: Uint8Array;
  readonly mac: Mac;
}

/** What a session is made with. */
export interface AgentOptions {
  readonly transport: AgentTransport;
  /** Monotonic time. */
  readonly now: () => Milliseconds;
  /** First transaction identifier: by chance, so that sessions differ. */
  readonly firstTid: number;
  /** Absent: the connection itself has proven who the agent is. */
  readonly proof?: AgentProof;
  /** What the middlebox shall answer to prove who it is; absent: it need not. */
  readonly challenge?: Uint8Array;
  /** Told of notifications, in their order. */
  readonly onNotice: (notice: Notice) => void;
  /** The session is over; undefined when it was ended here. */
  readonly onEnd: (reason: SimcoError | undefined) => void;
}

/** A notification. */
export type Notice = MessageOf<"ARE"> | MessageOf<"AST"> | MessageOf<"BFM">;

/** A request without its identifier. */
export type Unnumbered<Asked> = Asked extends unknown ? Omit<Asked, "tid"> : never;

/** A request of an open session, without its identifier. */
export type RuleAsked = Unnumbered<Exclude<Request, { name: "SE" | "SA" | "ST" }>>;

/** States. `asking`: SE is sent. `proving`: SA is sent. */
export type AgentState = "new" | "asking" | "proving" | "open" | "over";

/** Which replies may answer each request (RFC 4540 section 8). */
const ANSWERS = {
  SE: ["SE_REPLY", "SA_REPLY"],
  SA: ["SE_REPLY"],
  ST: ["ST_REPLY"],
  PRR: ["PRR_REPLY"],
  PER: ["PER_REPLY"],
  PEA: ["PER_REPLY"],
  PDR: ["PDR_REPLY"],
  PLC: ["PLC_REPLY", "PRD_REPLY"],
  PRS: ["PRS_REPLY", "PES_REPLY", "PDS_REPLY"],
  PRL: ["PRL_REPLY"],
} as const satisfies Record<Request["name"], readonly Message["name"][]>;

/** The reply to a request. */
export type AnswerTo<Name extends Request["name"]> = MessageOf<(typeof ANSWERS)[Name][number]>;

/** What each message does to the session. */
const STATES = {
  new: { ask: "asking", end: "over" },
  asking: { prove: "proving", open: "open", end: "over" },
  proving: { open: "open", end: "over" },
  open: { end: "over" },
  over: {},
} as const satisfies Record<AgentState, Partial<Record<"ask" | "prove" | "open" | "end", AgentState>>>;

/** How long a reply may take, in milliseconds. */
const REPLY_MS = 10 * SECOND;

const TIDS = 0x1_0000_0000;

interface Pending {
  readonly request: Request;
  readonly deadline: Milliseconds;
  readonly resolve: (reply: Message) => void;
  readonly reject: (error: SimcoError) => void;
}

/** One session. */
export class AgentSession {
  readonly #options: AgentOptions;
  readonly #reader: MessageReader = new MessageReader();
  readonly #pending: Map<number, Pending> = new Map();
  #tid: number;
  #state: AgentState = "new";
  #capabilities: Capabilities | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#tid = options.firstTid;
  }

  get state(): AgentState {
    return this.#state;
  }

  /** What the middlebox can do; undefined until the session is open. */
  get capabilities(): Capabilities | undefined {
    return this.#capabilities;
  }

  /**
   * Opens the session.
   *
   * @throws {SimcoError} `SIMCO_REFUSED`, `SIMCO_UNPROVEN`, `SIMCO_UNKNOWN`
   */
  async open(): Promise<Capabilities> {
    this.#step("ask");
    const { challenge } = this.#options;
    const wanted = challenge === undefined ? {} : { challenge };
    const asked = await this.#exchange<"SE">({ name: "SE", version: VERSION, ...wanted });
    if (asked.name === "SE_REPLY") {
      this.#checkProof(undefined);
      return this.#opened(asked.capabilities);
    }
    this.#checkProof(asked.token);
    this.#step("prove");
    const token = asked.challenge === undefined ? undefined : this.#token(asked.challenge);
    const reply = await this.#exchange<"SA">({ name: "SA", ...(token === undefined ? {} : { token }) });
    return this.#opened(reply.capabilities);
  }

  /**
   * Sends a request and waits for its reply.
   *
   * @throws {SimcoError} `SIMCO_REFUSED`, `SIMCO_UNKNOWN`, `SIMCO_PROTOCOL`, `SIMCO_UNSUPPORTED`
   */
  async ask<Asked extends RuleAsked>(request: Asked): Promise<AnswerTo<Asked["name"]>> {
    if (this.#state !== "open") throw new SimcoError("SIMCO_UNKNOWN", "The session is not open.");
    if (request.name === "PDR" && this.#capabilities?.disables !== true) {
      throw new SimcoError("SIMCO_UNSUPPORTED", "This middlebox has no disable rules.");
    }
    const reply = await this.#exchange<Asked["name"]>(request);
    const wanted = "lifetime" in request ? request.lifetime : Number.POSITIVE_INFINITY;
    if ("lifetime" in reply && Number(reply.lifetime) > wanted) {
      throw new SimcoError("SIMCO_PROTOCOL", "The middlebox grants more time than was asked for.");
    }
    return reply;
  }

  /** Ends the session. */
  async close(): Promise<void> {
    if (this.#state === "open") {
      // Whatever comes of it, the session is over then.
      await this.#exchange<"ST">({ name: "ST" }).catch(() => undefined);
    }
    this.#finish(undefined);
  }

  /** Takes what has come. */
  receive(octets: Uint8Array): void {
    this.#reader.push(octets);
    while (this.#state !== "over") {
      const next = this.#reader.next(PAYLOAD_MAX);
      if (next === undefined || next === "header-length") return;
      const message = decodeFromMiddlebox(next);
      if (typeof message === "string") this.#fail("SIMCO_PROTOCOL", `A message cannot be read (${message}).`);
      else this.#take(message);
    }
  }

  /** The connection is gone. */
  lost(): void {
    this.#fail("SIMCO_UNKNOWN", "The connection to the middlebox is lost.");
  }

  /** Looks at the clock; to be called about once a second. */
  tick(): void {
    const now = this.#options.now();
    const isLate = [...this.#pending.values()].some(({ deadline }) => deadline <= now);
    if (isLate) this.#fail("SIMCO_UNKNOWN", "The middlebox does not answer.");
  }

  #opened(capabilities: Capabilities): Capabilities {
    this.#step("open");
    this.#capabilities = capabilities;
    return capabilities;
  }

  #token(challenge: Uint8Array): Uint8Array | undefined {
    const { proof } = this.#options;
    if (proof === undefined) return undefined;
    const { identity, key, binding, mac } = proof;
    return makeToken({ role: ROLE.AGENT, identity, challenge, binding }, key, mac);
  }

  /** The middlebox must prove who it is, if that is asked of it. */
  #checkProof(token: Uint8Array | undefined): void {
    const { proof, challenge } = this.#options;
    if (challenge === undefined) return;
    const identity = token === undefined ? undefined : claimedIdentity(token);
    if (proof !== undefined && token !== undefined && identity !== undefined) {
      const claim = { role: ROLE.MIDDLEBOX, identity, challenge, binding: proof.binding };
      if (isProof(token, claim, proof.key, proof.mac)) return;
    }
    const error = new SimcoError("SIMCO_UNPROVEN", "The middlebox does not prove who it is. Check the key.");
    this.#finish(error);
    throw error;
  }

  #exchange<Name extends Request["name"]>(request: Unnumbered<Request>): Promise<AnswerTo<Name>> {
    const tid = this.#nextTid();
    const numbered: Request = { ...request, tid };
    const deadline = this.#options.now() + REPLY_MS;
    return new Promise((resolve, reject) => {
      const answer = resolve as (reply: Message) => void;
      this.#pending.set(tid, { request: numbered, deadline, resolve: answer, reject });
      this.#options.transport.send(encodeMessage(numbered));
    });
  }

  /** Counts up, wraps, and passes over what is waiting for its reply. */
  #nextTid(): number {
    let tid = this.#tid;
    while (this.#pending.has(tid)) tid = (tid + 1) % TIDS;
    this.#tid = (tid + 1) % TIDS;
    return tid;
  }

  #take(message: Message): void {
    if (message.name === "ARE" || message.name === "AST" || message.name === "BFM") {
      this.#options.onNotice(message);
      if (message.name === "AST") this.#fail("SIMCO_UNKNOWN", "The middlebox has ended the session.");
      return;
    }
    const pending = this.#pending.get(message.tid);
    // Who answers what was not asked is not listened to.
    if (pending === undefined) return;
    this.#pending.delete(message.tid);
    const { request, resolve, reject } = pending;
    const answers: readonly Message["name"][] = ANSWERS[request.name];
    if (message.name === "NEGATIVE") reject(refusalError(request.name, message.code));
    else if (answers.includes(message.name)) resolve(message);
    else reject(new SimcoError("SIMCO_PROTOCOL", `${message.name} does not answer ${request.name}.`));
  }

  #fail(code: "SIMCO_UNKNOWN" | "SIMCO_PROTOCOL", message: string): void {
    this.#finish(new SimcoError(code, message));
  }

  #finish(reason: SimcoError | undefined): void {
    if (this.#state === "over") return;
    this.#step("end");
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    const unknown =
      reason ?? new SimcoError("SIMCO_UNKNOWN", "The session was ended before the answer came.");
    for (const { reject } of waiting) reject(unknown);
    this.#options.transport.end();
    this.#options.onEnd(reason);
  }

  #step(event: "ask" | "prove" | "open" | "end"): void {
    const row: Readonly<Partial<Record<typeof event, AgentState>>> = STATES[this.#state];
    this.#state = row[event] ?? this.#state;
  }
}
