/**
 * One session, as the middlebox sees it.
 *
 * Octets come in; requests are looked at one after the other, each when the one before is answered. A session
 * that ends sends nothing more. Everything that waits has an end: an incomplete message, a session that is
 * not opened, replies that are not read.
 */
import { type LimitValues, type Milliseconds, MINUTE, SECOND } from "../../base/index.ts";
import type { Agent } from "../../pinhole/index.ts";
import { decodeRequest } from "../decode.ts";
import { encodeMessage } from "../encode.ts";
import { decodeHeader, MessageReader, OPENING_PAYLOAD_MAX, PAYLOAD_MAX } from "../header.ts";
import { CODE, type Message, type MessageOf, type Request } from "../message.ts";
import { VERSION } from "../parameter-set.ts";
import { REPLY, type ReplyName } from "../reply-code.ts";
import type { Box } from "./box.ts";
import { Opening, type OpeningOutcome } from "./opening.ts";
import { negative, type RuleDesk, type RuleRequest } from "./rule-desk.ts";
import { admit, nextSessionState, type SessionEvent, type SessionState } from "./session-states.ts";
import type { Peer, Transport } from "./transport.ts";

/** How long things may take. */
export interface SessionTimes {
  /** From one octet of a message to the next (RFC 4540 section 6). */
  readonly incompleteMs: Milliseconds;
  /** From the connection to the open session. */
  readonly openingMs: Milliseconds;
  /** Without that anything of what is waiting is read. */
  readonly stalledMs: Milliseconds;
}

/** The times of the protocol. */
export const SESSION_TIMES: SessionTimes = {
  incompleteMs: MINUTE,
  openingMs: 30 * SECOND,
  stalledMs: 30 * SECOND,
};

/** Says how fast an agent may be. */
export interface Meter {
  /**
   * Takes one request.
   *
   * @returns 0 when it may go on; else how long it should wait, in milliseconds, and nothing was taken
   */
  take(agent: Agent, now: Milliseconds): Milliseconds;
}

/** What all sessions share. */
export interface SessionHouse {
  readonly box: Box;
  readonly desk: RuleDesk;
  readonly meter: Meter;
  readonly limits: Pick<LimitValues, "simcoBacklogBytes">;
  readonly times: SessionTimes;
  now(): Milliseconds;
  /** True: no room for this session, or none for its peer now. */
  isFull(session: ServerSession): boolean;
  /** SE was answered well: the session is open, or being opened. */
  begun(session: ServerSession): void;
  opened(session: ServerSession): void;
  closed(session: ServerSession): void;
  /** A proof failed. */
  failed(session: ServerSession): void;
  /** A request was answered, and what it changed can be told to others. */
  answered(session: ServerSession): void;
}

/** Octets of requests that may wait while others are carried out; then no more are taken. */
const REQUESTS_WAITING_MAX = 65_536;

/** Octets of replies that may wait before the next request is looked at. */
const REPLIES_WAITING_MAX = 262_144;

/** First transaction identifier of our notifications: easy to see in a capture. */
const FIRST_NOTICE = 0x80000001;

/** What may come before a session is open. */
const OPENING_CODES: readonly number[] = [CODE.SE, CODE.SA, CODE.ST];

/** One session. */
export class ServerSession {
  /** Goes into the events of what this session changes. */
  readonly origin: string;
  readonly peer: Peer;
  readonly #house: SessionHouse;
  readonly #transport: Transport;
  readonly #reader: MessageReader = new MessageReader();
  readonly #opening: Opening = new Opening();
  readonly #since: Milliseconds;
  #state: SessionState = "CLOSED";
  #agent: Agent | undefined;
  #notices = 0;
  #lastOctetAt: Milliseconds;
  #isOver = false;
  #isBusy = false;
  #isDelayed = false;
  #isPaused = false;
  /** A request whose agent must wait. */
  #held: DataView | undefined;
  /** No more octets will come, and what has come is still answered. */
  #isLast = false;
  /** To be ended when the present request is answered. */
  #mustEnd = false;
  #stalled: { readonly backlog: number; readonly since: Milliseconds } | undefined;

  /**
   * @param house - what all sessions share
   * @param peer - what is known of the agent from below
   * @param transport - the connection
   * @param origin - names this session in events
   */
  constructor(house: SessionHouse, peer: Peer, transport: Transport, origin: string) {
    this.#house = house;
    this.peer = peer;
    this.#transport = transport;
    this.origin = origin;
    this.#since = house.now();
    this.#lastOctetAt = this.#since;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Whoever is at the other end; undefined until the session is open. */
  get agent(): Agent | undefined {
    return this.#agent;
  }

  /** True while a request is being carried out. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Takes what has come. */
  receive(octets: Uint8Array): void {
    if (this.#isOver) return;
    this.#lastOctetAt = this.#house.now();
    this.#reader.push(octets);
    this.#proceed();
  }

  /** The agent will send nothing more: what has come is answered (DEC-38). */
  inputEnded(): void {
    this.#isLast = true;
    this.#proceed();
  }

  /** The connection is gone. */
  lost(): void {
    this.#close();
  }

  /** Tells of a change of a policy rule. */
  notify(rule: number, lifetime: number): void {
    if (this.#state !== "OPEN" || this.#isOver) return;
    this.#send({ name: "ARE", tid: this.#nextNotice(), rule, lifetime });
    if (this.#transport.backlog > this.#house.limits.simcoBacklogBytes) this.terminate();
  }

  /** Ends the session when the present request is answered: AST, and nothing after it. */
  terminate(): void {
    if (this.#isBusy) {
      this.#mustEnd = true;
      return;
    }
    if (this.#state !== "CLOSED") this.#send({ name: "AST", tid: this.#nextNotice() });
    this.#hangUp();
  }

  /** Looks at the clock. */
  tick(): void {
    if (this.#isOver) return;
    const now = this.#house.now();
    const { incompleteMs, openingMs } = this.#house.times;
    const isIncomplete = this.#reader.waiting > 0 && !this.#isBusy && !this.#isDelayed;
    if (isIncomplete && now - this.#lastOctetAt >= incompleteMs) this.#failFormat();
    else if (this.#state !== "OPEN" && now - this.#since >= openingMs) this.#giveUpOpening(isIncomplete);
    else if (this.#isStalled(now)) this.#abandon();
    else if (this.#isDelayed) this.#proceed();
  }

  /** Replies have been read: there is room for more. */
  drained(): void {
    if (this.#isDelayed) this.#proceed();
  }

  #giveUpOpening(isIncomplete: boolean): void {
    if (isIncomplete) this.#failFormat();
    else this.terminate();
  }

  #isStalled(now: Milliseconds): boolean {
    const { backlog } = this.#transport;
    const before = this.#stalled;
    if (backlog === 0) this.#stalled = undefined;
    else if (before === undefined || backlog < before.backlog) this.#stalled = { backlog, since: now };
    return this.#stalled !== undefined && now - this.#stalled.since >= this.#house.times.stalledMs;
  }

  /** Nobody reads: a last word, and no more waiting. */
  #abandon(): void {
    this.#isBusy = false;
    this.terminate();
  }

  /** Looks at one message after the other, as far as it can. */
  #proceed(): void {
    this.#isDelayed = false;
    while (!this.#isOver && !this.#isBusy && !this.#isDelayed) {
      const next =
        this.#held ?? this.#reader.next(this.#state === "OPEN" ? PAYLOAD_MAX : OPENING_PAYLOAD_MAX);
      this.#held = undefined;
      if (next === undefined) {
        if (this.#isLast) this.#hangUp();
        break;
      }
      if (next === "header-length") this.#failFormat();
      else if (this.#mustWait()) this.#hold(next);
      else this.#take(next);
    }
    this.#steer();
  }

  /** Keeps a request until its agent may send another, or has read what waits for it. */
  #hold(message: DataView): void {
    this.#held = message;
    this.#isDelayed = true;
  }

  #mustWait(): boolean {
    if (this.#transport.backlog > REPLIES_WAITING_MAX) return true;
    return this.#agent !== undefined && this.#house.meter.take(this.#agent, this.#house.now()) > 0;
  }

  /** Memory for requests is bounded by not taking more of them. */
  #steer(): void {
    if (this.#isOver) return;
    const mustPause = this.#reader.waiting > REQUESTS_WAITING_MAX && (this.#isBusy || this.#isDelayed);
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause) this.#transport.pause();
    else this.#transport.resume();
  }

  #take(message: DataView): void {
    const request = decodeRequest(message);
    const { tid } = decodeHeader(message);
    if (typeof request !== "string") {
      this.#answer(request);
      return;
    }
    const refusal = request === "basic-type" ? "WRONG_BASIC_TYPE" : undefined;
    const byType = request === "sub-type" ? "WRONG_SUBTYPE" : "BAD_REQUEST";
    // What kind of request it is counts before what is in it (RFC 4540 section 6).
    const isTooEarly = refusal === undefined && this.#state !== "OPEN" && !this.#isOpeningCode(message);
    this.#refuse(tid, refusal ?? (isTooEarly ? "WRONG_SUBTYPE" : byType), this.#state !== "OPEN");
  }

  #isOpeningCode(message: DataView): boolean {
    const { code } = decodeHeader(message);
    return this.#state === "CLOSED" ? code === CODE.SE : OPENING_CODES.includes(code);
  }

  #answer(request: Request): void {
    const admission = admit(this.#state, request.name);
    if (admission !== "process") {
      this.#refuse(request.tid, admission.refusal, admission.closes);
      return;
    }
    switch (request.name) {
      case "SE":
        this.#settle(request, this.#opening.begin(request, this.#facts()));
        break;
      case "SA":
        this.#settle(request, this.#opening.prove(request, this.#facts()));
        break;
      case "ST":
        this.#send({ name: "ST_REPLY", tid: request.tid });
        this.#hangUp();
        break;
      default:
        void this.#serve(request);
    }
  }

  #facts(): Parameters<Opening["begin"]>[1] {
    const { box } = this.#house;
    return { box, peer: this.peer, isFull: this.#house.isFull(this), now: this.#house.now() };
  }

  #settle({ tid }: MessageOf<"SE"> | MessageOf<"SA">, outcome: OpeningOutcome): void {
    if (outcome.event === "end") {
      if (outcome.refusal === "AUTH_FAILED") this.#house.failed(this);
      this.#refuse(tid, outcome.refusal, true);
      return;
    }
    this.#step(outcome.event);
    this.#house.begun(this);
    if (outcome.event !== "challenge") this.#agent = outcome.agent;
    this.#send(outcome.reply);
    if (this.#state === "OPEN") this.#house.opened(this);
  }

  async #serve(request: RuleRequest): Promise<void> {
    const agent = this.#house.box.directory.agent(this.#agent?.name ?? "");
    if (agent === undefined) {
      // Its name was taken out of the directory while the session was open.
      this.#refuse(request.tid, "TRANSACTION_FORBIDDEN", false);
      return;
    }
    this.#isBusy = true;
    let reply: Message;
    try {
      reply = await this.#house.desk.serve(agent, request, this.origin);
    } catch {
      // A bug of ours is a failure to the agent, and no reason to leave it without an answer.
      reply = negative(request.tid, "CONFIG_FAILED");
    }
    this.#isBusy = false;
    this.#send(reply);
    this.#house.answered(this);
    if (this.#mustEnd) this.terminate();
    else this.#proceed();
  }

  #refuse(tid: number, name: ReplyName, closes: boolean): void {
    const offered = name === "VERSION_MISMATCH" ? { version: VERSION } : {};
    this.#send({ name: "NEGATIVE", tid, code: REPLY[name].code, ...offered });
    if (closes) this.#hangUp();
  }

  /** What has come cannot be read (RFC 4540 section 6, DEC-05). */
  #failFormat(): void {
    this.#send({ name: "BFM", tid: this.#nextNotice() });
    if (this.#state === "OPEN") this.#send({ name: "AST", tid: this.#nextNotice() });
    this.#hangUp();
  }

  #send(message: Message): void {
    if (this.#isOver) return;
    this.#transport.send(encodeMessage(message));
  }

  #nextNotice(): number {
    this.#notices += 1;
    return (FIRST_NOTICE + this.#notices - 1) >>> 0;
  }

  #hangUp(): void {
    if (this.#isOver) return;
    this.#close();
    this.#transport.end();
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#step("end");
    this.#house.closed(this);
  }

  #step(event: SessionEvent): void {
    const next = nextSessionState(this.#state, event);
    if (next !== undefined) this.#state = next;
  }
}
