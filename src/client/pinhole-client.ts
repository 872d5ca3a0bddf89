/** Pinholes of a running daemon, as an object. */
import { randomUUID } from "node:crypto";
import type { CommitAnswer, Operation } from "../pinhole/index.ts";
import { readEvents } from "./event-source.ts";
import {
  type PinholeBackendReport,
  type PinholeCapabilities,
  type PinholeEvent,
  type PinholeGroupReport,
  type PinholeQuery,
  type PinholeReport,
  type PinholeStatus,
} from "./pinhole-api.ts";
import { PinholeConnection, type PinholePlace } from "./pinhole-connection.ts";
import { PinholeTransaction } from "./pinhole-transaction.ts";

/** How a commit shall be done. */
export interface ApplyOptions {
  /** Refuse unless this generation is in force. */
  readonly expectGeneration?: number;
  /** The same key with the same operations has one effect; chosen by chance when absent. */
  readonly idempotencyKey?: string;
  /**
   * Answer as soon as it is written, and survives a crash of the daemon; absent: when it is in force. Should
   * the packet filter refuse it then, an event `commit.failed` tells.
   */
  readonly wait?: "journal";
}

/** What to watch. */
export interface WatchOptions {
  /** Types of events; all when absent. */
  readonly types?: readonly string[];
  /** Only what concerns a group. */
  readonly group?: string;
  /** Id of the last event that is known; from now on when absent. */
  readonly after?: string;
}

function queryText(query: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const words = given.map(([name, value]): [string, string] => [name, String(value)]);
  const text = new URLSearchParams(words).toString();
  return text === "" ? "" : `?${text}`;
}

/** Speaks to one daemon. Keeps connections open between calls: call {@link PinholeClient.end} when done. */
export class PinholeClient {
  readonly #connection: PinholeConnection;

  /** @param place - where the daemon is */
  constructor(place: PinholePlace) {
    this.#connection = new PinholeConnection(place);
  }

  /** Where the daemon is, for people. */
  get address(): string {
    return this.#connection.address;
  }

  /**
   * Begins a transaction: what is asked of it takes effect with its commit, all or nothing.
   *
   * @example
   * const change = pinholes.begin();
   * const audio = change.open({
   *   internal: "10.1.0.7:5004", external: "198.51.100.9:6004", protocol: "udp", lifetime: 60,
   * });
   * change.close(former);
   * await change.commit();
   */
  begin(): PinholeTransaction<CommitAnswer> {
    return new PinholeTransaction((operations, options) => this.apply(operations, options));
  }

  /**
   * Does several things at once, all or nothing. Asked again when the answer is lost, without doing it twice.
   *
   * @returns when it is in force, or as `wait` says
   * @throws {PinholeError} with the index of the operation; nothing has changed then
   */
  async apply(operations: readonly Operation[], options: ApplyOptions = {}): Promise<CommitAnswer> {
    const { expectGeneration, idempotencyKey = randomUUID(), wait } = options;
    const body = { operations, ...(expectGeneration === undefined ? {} : { expectGeneration }) };
    const headers = { "idempotency-key": idempotencyKey };
    return (await this.#connection.call({
      method: "POST",
      path: `/v1/commits${queryText({ wait })}`,
      body,
      headers,
    })) as CommitAnswer;
  }

  /**
   * A pinhole, living or ended a while ago.
   *
   * @param id - the daemon's, or one's own
   * @param withTraffic - whether what passed through it is read from the packet filter
   * @throws {PinholeError} `NO_SUCH_PINHOLE`
   */
  async get(id: string, withTraffic = false): Promise<PinholeReport> {
    const query = withTraffic ? "?traffic=true" : "";
    return (await this.#get(`/v1/pinholes/${encodeURIComponent(id)}${query}`)) as PinholeReport;
  }

  /** Living pinholes, in the order in which they were made, read page by page. */
  async *list(query: PinholeQuery = {}): AsyncGenerator<PinholeReport> {
    for (let cursor: string | undefined = ""; cursor !== undefined; ) {
      const page = (await this.#get(
        `/v1/pinholes${queryText({ ...query, limit: 1000, cursor: cursor === "" ? undefined : cursor })}`,
      )) as { readonly pinholes: readonly PinholeReport[]; readonly cursor?: string };
      yield* page.pinholes;
      ({ cursor } = page);
    }
  }

  /** Gives a pinhole another lease, in seconds from now. @throws {PinholeError} `NO_SUCH_PINHOLE` */
  renew(id: string, lifetime: number | null): Promise<CommitAnswer> {
    return this.apply([{ op: "renew", id, lifetime }]);
  }

  /** Ends a pinhole. @throws {PinholeError} `NO_SUCH_PINHOLE` */
  close(id: string): Promise<CommitAnswer> {
    return this.apply([{ op: "close", id }]);
  }

  /** Groups that we may see. */
  async *listGroups(): AsyncGenerator<PinholeGroupReport> {
    for (let cursor: string | undefined = ""; cursor !== undefined; ) {
      const page = (await this.#get(
        `/v1/groups${queryText({ limit: 1000, cursor: cursor === "" ? undefined : cursor })}`,
      )) as { readonly groups: readonly PinholeGroupReport[]; readonly cursor?: string };
      yield* page.groups;
      ({ cursor } = page);
    }
  }

  /** A group with the ids of its pinholes. @throws {PinholeError} `NO_SUCH_GROUP` */
  async getGroup(id: string): Promise<PinholeGroupReport> {
    return (await this.#get(`/v1/groups/${encodeURIComponent(id)}`)) as PinholeGroupReport;
  }

  /** Gives every pinhole of a group another lease. @throws {PinholeError} `NO_SUCH_GROUP` */
  async renewGroup(id: string, lifetime: number | null): Promise<CommitAnswer> {
    const path = `/v1/groups/${encodeURIComponent(id)}`;
    return (await this.#connection.call({ method: "PATCH", path, body: { lifetime } })) as CommitAnswer;
  }

  /** Ends every pinhole of a group. @throws {PinholeError} `NO_SUCH_GROUP` */
  async closeGroup(id: string): Promise<CommitAnswer> {
    const path = `/v1/groups/${encodeURIComponent(id)}`;
    return (await this.#connection.call({ method: "DELETE", path })) as CommitAnswer;
  }

  /**
   * What happens, as it happens, until the loop is left. A connection that breaks is made anew, and the
   * stream goes on behind the last event; when some were lost meanwhile, an event `events.gap` says so.
   *
   * @throws {FirewallError} `CONTROL_SOCKET` when the daemon stays away for longer than our patience
   */
  async *watch(options: WatchOptions = {}): AsyncGenerator<PinholeEvent> {
    const { types, group } = options;
    let { after } = options;
    for (;;) {
      const query = queryText({ types: types?.join(","), group, after });
      for await (const event of this.#stream(`/v1/events${query}`)) {
        const isWanted = event.type !== "events.ready" || after === undefined;
        after = event.id;
        if (isWanted) yield event;
      }
    }
  }

  /** How the daemon fares. */
  async getStatus(): Promise<PinholeStatus> {
    return (await this.#get("/v1/status")) as PinholeStatus;
  }

  /** What the daemon can do, and what we may. */
  async getCapabilities(): Promise<PinholeCapabilities> {
    return (await this.#get("/v1/capabilities")) as PinholeCapabilities;
  }

  /** The packet filters behind the daemon. */
  async listBackends(): Promise<readonly PinholeBackendReport[]> {
    const answer = (await this.#get("/v1/backends")) as {
      readonly backends: readonly PinholeBackendReport[];
    };
    return answer.backends;
  }

  /** Closes connections. */
  end(): void {
    this.#connection.close();
  }

  /** One stream of events, until it breaks. */
  async *#stream(path: string): AsyncGenerator<PinholeEvent> {
    const answer = await this.#connection.open({ method: "GET", path });
    try {
      for await (const { id, type, data } of readEvents(answer.setEncoding("utf8"))) {
        yield { ...(JSON.parse(data) as Omit<PinholeEvent, "id">), id, type };
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
    } finally {
      answer.on("error", () => undefined);
      answer.destroy();
    }
  }

  #get(path: string): Promise<unknown> {
    return this.#connection.call({ method: "GET", path });
  }
}

/**
 * Connects to a daemon of pinholes.
 *
 * @example
 * const pinholes = connectPinholes();
 * for await (const { id, state } of pinholes.list()) console.log(id, state);
 */
export function connectPinholes(place: PinholePlace = {}): PinholeClient {
  return new PinholeClient(place);
}
