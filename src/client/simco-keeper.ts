/**
 * Keeps policy rules alive at a middlebox, over as many sessions as it takes.
 *
 * Rules outlive sessions, and a session may end at any moment with requests whose outcome nobody knows. So
 * after each connection the keeper reads what there is, compares, makes what is missing and ends what nobody
 * wants; in between it renews each rule at half of its time. What somebody else ends is not made again.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Milliseconds } from "../base/index.ts";
import {
  type AddressTuple,
  type MessageOf,
  type Notice,
  SimcoError,
  type Unnumbered,
} from "../simco/index.ts";
import { SimcoConnection, type SimcoMiddlebox } from "./simco-connection.ts";

/** A rule that shall be: a permit or a disable rule. */
export type KeptRule = Unnumbered<MessageOf<"PER"> | MessageOf<"PDR">>;

/** What a keeper tells. */
export type KeeperEvent =
  | { readonly type: "connected" }
  | { readonly type: "disconnected"; readonly reason: string; readonly againInMs: Milliseconds }
  /** The middlebox could not read what it got. */
  | { readonly type: "fault" }
  | { readonly type: "made" | "found" | "renewed"; readonly key: string; readonly rule: number }
  /** The middlebox ended it. */
  | { readonly type: "ended"; readonly key: string; readonly rule: number }
  | { readonly type: "refused"; readonly key: string; readonly reason: string }
  /** Nobody wanted it, and it is gone. */
  | { readonly type: "orphan"; readonly rule: number };

/** How a keeper goes about it. */
export interface KeeperOptions {
  readonly onEvent?: (event: KeeperEvent) => void;
  /** False: rules of ours that nobody asked this keeper for stay; true when absent. */
  readonly endsOrphans?: boolean;
}

interface Held {
  readonly wish: KeptRule;
  /** Undefined until it is made. */
  rule: number | undefined;
  timer: NodeJS.Timeout | undefined;
}

const PAUSE_FIRST_MS = 100;
const PAUSE_MAX_MS = 30_000;
/** How far a time by chance lies from what it should be: a tenth. */
const JITTER = 0.1;

function jittered(ms: Milliseconds): Milliseconds {
  return ms * (1 - JITTER + 2 * JITTER * Math.random());
}

function sameTuple(a: AddressTuple, b: AddressTuple): boolean {
  return (
    JSON.stringify({ ...a, address: [...(a.address ?? [])] }) ===
    JSON.stringify({ ...b, address: [...(b.address ?? [])] })
  );
}

/** Keeps rules. */
export class SimcoKeeper {
  readonly #middlebox: SimcoMiddlebox;
  readonly #options: KeeperOptions;
  readonly #held: Map<string, Held> = new Map();
  #connection: SimcoConnection | undefined;
  #isStopped = false;
  #pauseMs: Milliseconds = PAUSE_FIRST_MS;
  readonly #stopping: AbortController = new AbortController();
  #isWaiting = false;

  constructor(middlebox: SimcoMiddlebox, options: KeeperOptions = {}) {
    this.#middlebox = middlebox;
    this.#options = options;
  }

  /** Connects, and goes on connecting until {@link SimcoKeeper.stop}. Returns after the first attempt. */
  async start(): Promise<void> {
    await this.#connect();
  }

  /**
   * Wants a rule from now on.
   *
   * @param key - what the caller calls it
   */
  async keep(key: string, wish: KeptRule): Promise<void> {
    const held: Held = { wish, rule: undefined, timer: undefined };
    this.#held.set(key, held);
    await this.#make(key, held);
  }

  /** Does not want a rule any more. */
  async drop(key: string): Promise<void> {
    const held = this.#held.get(key);
    this.#forget(key);
    if (held?.rule !== undefined) await this.#end(held.rule);
  }

  /** Ends the session; the rules stay until their time is over. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopping.abort();
    for (const { timer } of this.#held.values()) clearTimeout(timer);
    await this.#connection?.close();
  }

  async #connect(): Promise<void> {
    try {
      this.#connection = await SimcoConnection.open(this.#middlebox, {
        onNotice: (notice) => this.#hear(notice),
        onEnd: (reason) => {
          if (reason !== undefined) void this.#again(reason.message);
        },
      });
      this.#pauseMs = PAUSE_FIRST_MS;
      this.#tell({ type: "connected" });
      await this.#reconcile(this.#connection);
    } catch (error) {
      if (this.#connection?.isOpen === true && error instanceof SimcoError) return;
      void this.#again(error instanceof Error ? error.message : String(error));
    }
  }

  async #again(reason: string): Promise<void> {
    // The end of a session and the failure of a request on it are one occasion.
    if (this.#isStopped || this.#isWaiting) return;
    this.#isWaiting = true;
    this.#connection = undefined;
    const againInMs = jittered(this.#pauseMs);
    this.#pauseMs = Math.min(PAUSE_MAX_MS, this.#pauseMs * 2);
    this.#tell({ type: "disconnected", reason, againInMs });
    const isOn = await delay(againInMs, true, { signal: this.#stopping.signal }).catch(() => false);
    this.#isWaiting = false;
    if (isOn) await this.#connect();
  }

  #tell(event: KeeperEvent): void {
    this.#options.onEvent?.(event);
  }

  #hear(notice: Notice): void {
    if (notice.name === "BFM") this.#tell({ type: "fault" });
    if (notice.name !== "ARE" || notice.lifetime !== 0) return;
    for (const [key, { rule }] of this.#held) {
      if (rule !== notice.rule) continue;
      this.#forget(key);
      this.#tell({ type: "ended", key, rule });
    }
  }

  #forget(key: string): void {
    clearTimeout(this.#held.get(key)?.timer);
    this.#held.delete(key);
  }

  /** Compares what there is with what shall be. */
  async #reconcile(connection: SimcoConnection): Promise<void> {
    const { rules } = await connection.ask({ name: "PRL" });
    const standing = new Set(rules);
    const known = new Set<number>();
    for (const [key, held] of this.#held) {
      if (held.rule !== undefined && standing.has(held.rule) && (await this.#isAsWished(connection, held))) {
        known.add(held.rule);
        this.#tell({ type: "found", key, rule: held.rule });
      } else {
        await this.#make(key, held);
        if (held.rule !== undefined) known.add(held.rule);
      }
    }
    if (this.#options.endsOrphans === false) return;
    for (const rule of standing) {
      if (known.has(rule)) continue;
      await this.#end(rule);
      this.#tell({ type: "orphan", rule });
    }
  }

  async #isAsWished(connection: SimcoConnection, held: Held): Promise<boolean> {
    const { rule, wish } = held;
    if (rule === undefined) return false;
    const status = await connection.ask({ name: "PRS", rule });
    if (status.name === "PRS_REPLY") return false;
    if ((status.name === "PDS_REPLY") !== (wish.name === "PDR")) return false;
    this.#schedule(held, status.lifetime);
    return sameTuple(status.internal, wish.internal) && sameTuple(status.external, wish.external);
  }

  async #make(key: string, held: Held): Promise<void> {
    const connection = this.#connection;
    if (connection?.isOpen !== true) return;
    try {
      const { rule, lifetime } = await connection.ask(held.wish);
      held.rule = rule;
      this.#schedule(held, lifetime);
      this.#tell({ type: "made", key, rule });
    } catch (error) {
      // What is not known now is looked up after the next connection.
      if (!(error instanceof SimcoError) || error.code === "SIMCO_UNKNOWN") return;
      this.#tell({ type: "refused", key, reason: error.message });
    }
  }

  /** Renews at half of the time that is left, or a little before or after. */
  #schedule(held: Held, seconds: number): void {
    clearTimeout(held.timer);
    const waitMs = Math.min(jittered(seconds * 500), 0x7fffffff);
    held.timer = setTimeout(() => void this.#renew(held), waitMs);
    held.timer.unref();
  }

  async #renew(held: Held): Promise<void> {
    const { rule, wish } = held;
    const entry = [...this.#held].find(([, one]) => one === held);
    if (rule === undefined || entry === undefined || this.#connection?.isOpen !== true) return;
    try {
      const reply = await this.#connection.ask({ name: "PLC", rule, lifetime: wish.lifetime });
      if (reply.name !== "PLC_REPLY") return;
      this.#schedule(held, reply.lifetime);
      this.#tell({ type: "renewed", key: entry[0], rule });
    } catch (error) {
      if (error instanceof SimcoError && error.code === "SIMCO_REFUSED") {
        this.#tell({ type: "refused", key: entry[0], reason: error.message });
      }
    }
  }

  async #end(rule: number): Promise<void> {
    try {
      await this.#connection?.ask({ name: "PLC", rule, lifetime: 0 });
    } catch (error) {
      if (!(error instanceof SimcoError)) throw error;
    }
  }
}
