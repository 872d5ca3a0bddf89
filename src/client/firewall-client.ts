/** The running firewall, as an object. */
import { DEFAULT_SOCKET, type FirewallStatus, type ReloadAnswer } from "./api.ts";
import { callApi } from "./connection.ts";

/** How to reach a firewall. */
export interface ConnectOptions {
  /** Path of its control socket. */
  readonly socket?: string;
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
