/**
 * HTTP to a daemon of pinholes, over its Unix socket or TLS.
 *
 * Every request may be sent again: reading changes nothing, and what changes something carries an idempotency
 * key. So a connection that breaks, a daemon that is being started anew and an answer that was lost are all
 * met by asking again, for as long as the caller has patience.
 */
import { Agent, type IncomingMessage, request, type RequestOptions } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import { setTimeout as delay } from "node:timers/promises";
import { FirewallError } from "../base/index.ts";
import { DEFAULT_PINHOLE_SOCKET } from "./api.ts";
import { readAnswer } from "./connection.ts";
import type { PinholeProblem } from "./pinhole-api.ts";

/** Where a daemon of pinholes is. */
export interface PinholePlace {
  /** Path of its Unix socket; {@link DEFAULT_PINHOLE_SOCKET} when neither this nor `tls` is given. */
  readonly socket?: string;
  readonly tls?: {
    readonly host: string;
    readonly port: number;
    /** Our certificate and its key, PEM. */
    readonly cert: string | Uint8Array;
    readonly key: string | Uint8Array;
    /** Authority of the daemon's certificate, PEM. */
    readonly ca: string | Uint8Array;
    /** Name in the daemon's certificate when it is not the host. */
    readonly servername?: string;
  };
  /** How long a daemon that does not answer is asked again, in milliseconds; 10 seconds when absent. */
  readonly patienceMs?: number;
}

/** One request. */
export interface PinholeRequestWords {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The daemon refuses. */
export class PinholeError extends FirewallError {
  /** All that the daemon said. */
  readonly problem: PinholeProblem;

  /** @param problem - the daemon's answer */
  constructor(problem: PinholeProblem) {
    super(problem.code, problem.detail, { details: { status: problem.status } });
    this.name = "PinholeError";
    this.problem = problem;
  }
}

/** Failures of a connection after which it makes sense to ask again. */
const PASSING: ReadonlySet<string> = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "ENOENT",
  "EPIPE",
  "EAGAIN",
  "ETIMEDOUT",
]);
const PATIENCE_MS = 10_000;
const PAUSE_FIRST_MS = 20;
const PAUSE_MAX_MS = 1000;
const SECOND_MS = 1000;
/** Requests at a time; more wait for one of them. */
const SOCKETS_MAX = 64;

function problemOf(status: number, text: string): PinholeProblem {
  try {
    const parsed = JSON.parse(text) as Partial<PinholeProblem>;
    if (typeof parsed.code === "string" && typeof parsed.detail === "string") return parsed as PinholeProblem;
  } catch {
    // What is no JSON is shown as it is.
  }
  const detail = text === "" ? `The daemon answered with status ${status}.` : text;
  return { type: "about:blank", title: "Unknown answer", status, detail, code: "CONTROL_ANSWER" };
}

/** How long to wait before asking again; undefined: it makes no sense. */
function pauseAfter(error: unknown, attempt: number): number | undefined {
  const growing = Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** attempt);
  if (error instanceof PinholeError) {
    const { retryAfter, code } = error.problem;
    const isPassing = code === "TOO_MANY_REQUESTS" || code === "DOOR_BUSY" || code === "BACKEND_UNAVAILABLE";
    return isPassing ? Math.max(growing, (retryAfter ?? 0) * SECOND_MS) : undefined;
  }
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined && PASSING.has(code) ? growing : undefined;
}

/** Connections to one daemon, kept open between requests. */
export class PinholeConnection {
  readonly #place: PinholePlace;
  readonly #agent: Agent;
  /** Where the daemon is, for people. */
  readonly address: string;

  constructor(place: PinholePlace) {
    const { tls, socket = DEFAULT_PINHOLE_SOCKET } = place;
    const options = { keepAlive: true, maxSockets: SOCKETS_MAX };
    this.#place = tls === undefined ? { ...place, socket } : place;
    this.#agent = tls === undefined ? new Agent(options) : new TlsAgent(options);
    this.address = tls === undefined ? socket : `${tls.host} port ${tls.port}`;
  }

  /**
   * Sends a request, again if need be, and reads the answer.
   *
   * @throws {PinholeError} when the daemon refuses
   * @throws {FirewallError} `CONTROL_SOCKET` when it cannot be reached
   */
  async call(words: PinholeRequestWords): Promise<unknown> {
    return this.#patiently(async () => {
      const answer = await this.#send(words);
      const text = await readAnswer(answer);
      const status = answer.statusCode ?? 0;
      if (status >= 400) throw new PinholeError(problemOf(status, text));
      return text === "" ? undefined : (JSON.parse(text) as unknown);
    });
  }

  /**
   * Sends a request and hands out the answer as it comes.
   *
   * @throws {PinholeError} when the daemon refuses
   * @throws {FirewallError} `CONTROL_SOCKET` when it cannot be reached
   */
  async open(words: PinholeRequestWords): Promise<IncomingMessage> {
    return this.#patiently(async () => {
      const answer = await this.#send(words);
      const status = answer.statusCode ?? 0;
      if (status >= 400) throw new PinholeError(problemOf(status, await readAnswer(answer)));
      return answer;
    });
  }

  /** Closes connections that are idle. */
  close(): void {
    this.#agent.destroy();
  }

  async #patiently<Result>(attemptOnce: () => Promise<Result>): Promise<Result> {
    const until = performance.now() + (this.#place.patienceMs ?? PATIENCE_MS);
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await attemptOnce();
      } catch (error) {
        const pauseMs = pauseAfter(error, attempt);
        if (pauseMs === undefined || performance.now() + pauseMs > until) throw this.#failure(error);
        await delay(pauseMs);
      }
    }
  }

  #send({ method, path, body, headers }: PinholeRequestWords): Promise<IncomingMessage> {
    const { socket, tls } = this.#place;
    const text = body === undefined ? undefined : JSON.stringify(body);
    const type = text === undefined ? {} : { "content-type": "application/json" };
    const options: RequestOptions = {
      method,
      path,
      agent: this.#agent,
      headers: { ...type, ...headers },
      ...(tls === undefined ? { socketPath: socket } : tls),
    };
    return new Promise((resolve, reject) => {
      const outgoing = tls === undefined ? request(options) : tlsRequest(options);
      outgoing.once("response", resolve);
      outgoing.once("error", reject);
      outgoing.end(text);
    });
  }

  #failure(error: unknown): Error {
    if (error instanceof FirewallError) return error;
    const cause = error as NodeJS.ErrnoException;
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: "there is no such socket; is the daemon running (postern pinhold)?",
      ECONNREFUSED: "nobody listens there; is the daemon running (postern pinhold)?",
      EACCES: "this user may not use it; ask its owner",
    };
    const reason = reasons[cause.code ?? ""] ?? cause.message;
    const message = `cannot reach the pinholes at ${this.address}: ${reason}`;
    return new FirewallError("CONTROL_SOCKET", message, { cause });
  }
}
