/**
 * All sessions of a middlebox, and who is told of what.
 *
 * A change is told to every other session whose agent may see the rule; an end that nobody of them asked for
 * is told to all (RFC 4540 section 8.9). Notices stand in one line, in the order of the changes, and a notice
 * waits until whoever caused the change has its reply (DEC-18).
 */
import type { LimitValues, Milliseconds } from "../../base/index.ts";
import { maySee, type PinholeEventRecord } from "../../pinhole/index.ts";
import { AuthGuard } from "./auth-guard.ts";
import type { Box, RuleStore } from "./box.ts";
import { noticedSeconds, RuleDesk } from "./rule-desk.ts";
import { type Meter, ServerSession, SESSION_TIMES, type SessionHouse, type SessionTimes } from "./session.ts";
import type { Peer, Transport } from "./transport.ts";

/** What a server is made of. */
export interface ServerOptions {
  readonly box: Box;
  readonly store: RuleStore;
  readonly limits: Pick<LimitValues, "simcoSessions" | "simcoBacklogBytes">;
  /** Names this server in the events of what its sessions change. */
  readonly name: string;
  readonly meter: Meter;
  readonly times?: SessionTimes;
  /** Told of sessions that open and close. */
  readonly onSession?: (what: "opened" | "closed", session: ServerSession) => void;
}

/** Changes of rules that are told to sessions. */
const TOLD: ReadonlySet<string> = new Set([
  "pinhole.reserved",
  "pinhole.enabled",
  "pinhole.renewed",
  "pinhole.ended",
]);

/** The sessions of a middlebox. */
export class SimcoServer {
  readonly #options: ServerOptions;
  readonly #house: SessionHouse;
  readonly #guard: AuthGuard = new AuthGuard();
  /** Every connection, open as a session or not. */
  readonly #sessions: Map<string, ServerSession> = new Map();
  /** Those that are open, or being opened. */
  readonly #begun: Set<ServerSession> = new Set();
  readonly #byAgent: Map<string, Set<ServerSession>> = new Map();
  /** Sessions of agents that see everybody's rules. */
  readonly #overseers: Set<ServerSession> = new Set();
  readonly #stopListening: () => void;
  #notices: PinholeEventRecord[] = [];
  #serial = 0;
  #isClosing = false;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { box, store, limits, meter, times = SESSION_TIMES } = options;
    this.#house = {
      box,
      desk: new RuleDesk(box, store),
      meter,
      limits,
      times,
      now: () => store.moment.now,
      isFull: (session) => this.#isFull(session),
      begun: (session) => void this.#begun.add(session),
      opened: (session) => this.#opened(session),
      closed: (session) => this.#closed(session),
      failed: ({ peer }) => this.#guard.fail(peer.address, this.#now),
      answered: () => this.#deliver(),
    };
    this.#stopListening = store.listen((event) => this.#note(event));
  }

  /** Connections, open as sessions or not. */
  get connections(): number {
    return this.#sessions.size;
  }

  /** A connection has come. */
  accept(peer: Peer, transport: Transport): ServerSession {
    this.#serial += 1;
    const session = new ServerSession(this.#house, peer, transport, `${this.#options.name}/${this.#serial}`);
    this.#sessions.set(session.origin, session);
    return session;
  }

  /** Looks at the clock; to be called several times a second. */
  tick(): void {
    for (const session of this.#sessions.values()) session.tick();
  }

  /** Ends every session: what is being carried out is answered first. */
  close(): void {
    this.#isClosing = true;
    for (const session of this.#sessions.values()) session.terminate();
    this.#stopListening();
  }

  get #now(): Milliseconds {
    return this.#options.store.moment.now;
  }

  #isFull({ peer }: ServerSession): boolean {
    const isFull = this.#isClosing || this.#begun.size >= this.#options.limits.simcoSessions;
    return isFull || this.#guard.mustWait(peer.address, this.#now);
  }

  #opened(session: ServerSession): void {
    const { agent } = session;
    if (agent === undefined) return;
    const sessions = this.#byAgent.get(agent.name) ?? new Set();
    this.#byAgent.set(agent.name, sessions.add(session));
    if (agent.profile.isAdministrator || agent.profile.readsAll) this.#overseers.add(session);
    this.#options.onSession?.("opened", session);
  }

  #closed(session: ServerSession): void {
    this.#sessions.delete(session.origin);
    this.#begun.delete(session);
    this.#overseers.delete(session);
    const { agent } = session;
    if (agent === undefined) return;
    const others = this.#byAgent.get(agent.name);
    others?.delete(session);
    if (others?.size === 0) this.#byAgent.delete(agent.name);
    this.#options.onSession?.("closed", session);
  }

  #note(event: PinholeEventRecord): void {
    if (!TOLD.has(event.type)) return;
    this.#notices.push(event);
    this.#deliver();
  }

  #deliver(): void {
    let told = 0;
    for (const event of this.#notices) {
      if (this.#sessions.get(event.origin)?.isBusy === true) break;
      this.#tell(event);
      told += 1;
    }
    if (told > 0) this.#notices = this.#notices.slice(told);
  }

  #tell({ pinhole, origin }: PinholeEventRecord): void {
    if (pinhole === undefined) return;
    const { owner, number, end } = pinhole;
    // What ended by a conflict was not what the request was about: its sender must hear of it.
    const spared = end?.reason === "conflict" ? "" : origin;
    const lifetime = noticedSeconds(pinhole);
    const hearers = new Set([...(this.#byAgent.get(owner) ?? []), ...this.#overseers]);
    for (const session of hearers) {
      // What an agent may see is what the directory says now, not what it said when the session was opened.
      const agent = this.#options.box.directory.agent(session.agent?.name ?? "");
      const isMeant = session.origin !== spared && agent !== undefined && maySee(agent, owner);
      if (isMeant) session.notify(number, lifetime);
    }
  }
}
