/** The running firewall, as an object. */
import type { TimeoutValues } from "../base/index.ts";
import type { State } from "../view/index.ts";
import {
  DEFAULT_SOCKET,
  type FirewallStatus,
  type KillAnswer,
  type KillRequest,
  type ReloadAnswer,
  type StateQuery,
  type TableSource,
  type WatchEvent,
} from "./api.ts";
import { callApi, streamApi } from "./connection.ts";
import type { FlowReport } from "./flow-api.ts";
import type { RulesReport } from "./rule-api.ts";
import type {
  LimitReport,
  TableChangeReport,
  TableChangeRequest,
  TableCreation,
  TableEntryReport,
  TableReport,
  TableTestReport,
} from "./table-api.ts";

/** How to reach a firewall. */
export interface ConnectOptions {
  /** Path of its control socket. */
  readonly socket?: string;
}

/** A query as it stands in an address. */
function queryText(query: StateQuery): string {
  const text = new URLSearchParams(Object.entries(query)).toString();
  return text === "" ? "" : `?${text}`;
}

/** Address of a table. */
function tablePath(name: string): string {
  return `/v1/tables/${encodeURIComponent(name)}`;
}

/** Speaks to one running firewall. Holds no connection open between calls. */
export class FirewallClient {
  readonly #socket: string;

  /** @param socket - path of the control socket */
  constructor(socket: string) {
    this.#socket = socket;
  }

  /** What the firewall is doing. */
  async getStatus(): Promise<FirewallStatus> {
    return (await callApi(this.#socket, { method: "GET", path: "/v1/status" })) as FirewallStatus;
  }

  /** What each rule of the policy in force has judged, and where. */
  async getRules(): Promise<RulesReport> {
    return (await callApi(this.#socket, { method: "GET", path: "/v1/rules" })) as RulesReport;
  }

  /**
   * Which rule is behind a live flow, and who judges its packets.
   *
   * @param flow - id of its state, or a filter that chooses it alone
   * @throws {ApiError} `FLOW_UNKNOWN`, `FLOW_AMBIGUOUS`, `STATE_GONE` or `FILTER_INVALID`
   */
  async explainFlow(flow: string): Promise<FlowReport> {
    const path = `/v1/explanation?${new URLSearchParams({ flow }).toString()}`;
    return (await callApi(this.#socket, { method: "GET", path })) as FlowReport;
  }

  /**
   * Reads the policy anew and puts it in force between two batches of packets; an invalid one changes
   * nothing.
   *
   * @param file - absolute path of another policy file
   * @throws {ApiError} `POLICY_INVALID`, with all problems
   */
  async reload(file?: string): Promise<ReloadAnswer> {
    const body = file === undefined ? {} : { file };
    return (await callApi(this.#socket, { method: "POST", path: "/v1/reload", body })) as ReloadAnswer;
  }

  /**
   * States that a filter chooses, as they are read from the tables.
   *
   * @example
   * for await (const state of firewall.getStates({ filter: "tcp to any port 22" })) console.log(state.id);
   */
  async *getStates(query: StateQuery = {}): AsyncGenerator<State> {
    for await (const state of streamApi(this.#socket, `/v1/states${queryText(query)}`)) yield state as State;
  }

  /**
   * The state with an id.
   *
   * @throws {ApiError} `STATE_GONE`
   */
  async getState(id: string): Promise<State> {
    const path = `/v1/states/${encodeURIComponent(id)}`;
    return (await callApi(this.#socket, { method: "GET", path })) as State;
  }

  /** What flows do, as it happens, until the loop is left. A gap tells that events were lost. */
  async *watchStates(query: StateQuery = {}): AsyncGenerator<WatchEvent> {
    const path = `/v1/watch/states${queryText(query)}`;
    for await (const event of streamApi(this.#socket, path)) yield event as WatchEvent;
  }

  /**
   * Ends the flows that a filter chooses.
   *
   * @throws {ApiError} `FILTER_INVALID`, pointing at the place
   */
  async killStates(request: KillRequest): Promise<KillAnswer> {
    return (await callApi(this.#socket, {
      method: "POST",
      path: "/v1/states/kill",
      body: request,
    })) as KillAnswer;
  }

  /** Ends all flows. */
  clearStates(source: TableSource = "both"): Promise<KillAnswer> {
    return this.killStates({ filter: "", source });
  }

  /** Timeouts in milliseconds, `adaptive.start` and `adaptive.end` in flows. */
  async getTimeouts(): Promise<TimeoutValues> {
    return (await callApi(this.#socket, { method: "GET", path: "/v1/timeouts" })) as TimeoutValues;
  }

  /**
   * Changes timeouts, for the flows that are there as well.
   *
   * @param values - those to change, in milliseconds
   * @returns all of them
   * @throws {ApiError} `TIMEOUT_INVALID`; nothing is changed then
   */
  async setTimeouts(values: Partial<TimeoutValues>): Promise<TimeoutValues> {
    return (await callApi(this.#socket, {
      method: "PUT",
      path: "/v1/timeouts",
      body: values,
    })) as TimeoutValues;
  }

  /** All address tables by name. */
  async listTables(): Promise<TableReport[]> {
    const tables: TableReport[] = [];
    for await (const table of streamApi(this.#socket, "/v1/tables")) tables.push(table as TableReport);
    return tables;
  }

  /**
   * The entries of a table: IPv4 first, by address.
   *
   * @throws {ApiError} `TABLE_UNKNOWN`
   */
  async *showTable(name: string): AsyncGenerator<TableEntryReport> {
    for await (const entry of streamApi(this.#socket, tablePath(name))) yield entry as TableEntryReport;
  }

  /**
   * Makes a table that no policy declares; a policy that does so later takes it over with its entries.
   *
   * @throws {ApiError} `TABLE_EXISTS`, `TABLE_NAME`, `TABLE_LIMIT`, `TABLE_CAPACITY`
   */
  async createTable(creation: TableCreation): Promise<TableReport> {
    return (await callApi(this.#socket, {
      method: "POST",
      path: "/v1/tables",
      body: creation,
    })) as TableReport;
  }

  /**
   * Removes a table that a command made.
   *
   * @throws {ApiError} `TABLE_UNKNOWN`, `TABLE_DECLARED`
   */
  async removeTable(name: string): Promise<TableChangeReport> {
    return (await callApi(this.#socket, { method: "DELETE", path: tablePath(name) })) as TableChangeReport;
  }

  /**
   * Adds addresses and networks to a table; rules see all of them with their next packet.
   *
   * @param request - addresses, and how long they last
   * @throws {ApiError} `TABLE_UNKNOWN`, `TABLE_CONST`, `TABLE_ENTRY`, or `TABLE_FULL`; nothing is changed
   *   then
   * @example
   * await firewall.addAddresses("blocked", { addresses: ["203.0.113.7"], lifetimeSeconds: 600 });
   */
  addAddresses(name: string, request: TableChangeRequest): Promise<TableChangeReport> {
    return this.#changeTable(name, "add", request);
  }

  /**
   * Deletes addresses and networks: those with this prefix and this sign. @throws {ApiError} as for adding
   */
  deleteAddresses(name: string, request: TableChangeRequest): Promise<TableChangeReport> {
    return this.#changeTable(name, "delete", request);
  }

  /** Makes a table hold exactly these addresses and networks. @throws {ApiError} as for adding */
  setAddresses(name: string, request: TableChangeRequest): Promise<TableChangeReport> {
    return this.#changeTable(name, "set", request);
  }

  /** Deletes everything from a table. @throws {ApiError} `TABLE_UNKNOWN`, `TABLE_CONST` */
  clearTable(name: string): Promise<TableChangeReport> {
    return this.#changeTable(name, "clear");
  }

  /**
   * Deletes the entries whose counters were not cleared for some time.
   *
   * @param ageSeconds - seconds since an entry was added or its counters were cleared
   * @throws {ApiError} `TABLE_UNKNOWN`, `TABLE_CONST`
   */
  expireTable(name: string, ageSeconds: number): Promise<TableChangeReport> {
    return this.#changeTable(name, "expire", { ageSeconds });
  }

  /**
   * Says for each address whether it is in a table, and by which entry.
   *
   * @throws {ApiError} `TABLE_UNKNOWN`, `TABLE_ENTRY`
   */
  async testAddresses(name: string, addresses: readonly string[]): Promise<TableTestReport[]> {
    const path = `${tablePath(name)}/test`;
    return (await callApi(this.#socket, { method: "POST", path, body: { addresses } })) as TableTestReport[];
  }

  /** Sets the counters of a table and of its entries to zero. @throws {ApiError} `TABLE_UNKNOWN` */
  async zeroTable(name: string): Promise<TableReport> {
    return (await callApi(this.#socket, { method: "POST", path: `${tablePath(name)}/zero` })) as TableReport;
  }

  /** Limits under pf's names. */
  async getLimits(): Promise<LimitReport[]> {
    return (await callApi(this.#socket, { method: "GET", path: "/v1/limits" })) as LimitReport[];
  }

  /**
   * Changes limits, until the policy is reloaded.
   *
   * @param values - by pf's names, such as `tables`
   * @returns all of them
   * @throws {ApiError} `LIMIT_UNKNOWN`, `LIMIT_FIXED`, `LIMIT_INVALID`, `LIMIT_IN_USE`; nothing is changed
   *   then
   */
  async setLimits(values: Readonly<Record<string, number>>): Promise<LimitReport[]> {
    return (await callApi(this.#socket, {
      method: "PUT",
      path: "/v1/limits",
      body: values,
    })) as LimitReport[];
  }

  async #changeTable(name: string, verb: string, body?: unknown): Promise<TableChangeReport> {
    const path = `${tablePath(name)}/${verb}`;
    return (await callApi(this.#socket, { method: "POST", path, body })) as TableChangeReport;
  }
}

/**
 * Connects to a running firewall.
 *
 * @example
 * const firewall = connect();
 * console.log((await firewall.getStatus()).counters);
 */
export function connect(options: ConnectOptions = {}): FirewallClient {
  return new FirewallClient(options.socket ?? DEFAULT_SOCKET);
}
