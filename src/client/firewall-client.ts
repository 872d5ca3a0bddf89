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
