/**
 * Real traffic from inside a namespace.
 *
 * One small program runs in each namespace that takes part, opens real sockets there and is told over a pipe
 * what to do. Starting it takes a twentieth of a second, once: a test of many connections stays fast.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { FirewallError } from "../base/index.ts";
import type {
  AnswerMessage,
  Destination,
  Heard,
  ListenOptions,
  RequestMessage,
  RequestName,
  TcpResult,
  TrafficRequests,
  TransferResult,
  UdpResult,
} from "./messages.ts";

/** Default patience for an answer from the other side, in milliseconds. */
const TIMEOUT_MS = 1_000;

interface Waiting {
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A server that runs inside the namespace. */
export interface Listener {
  /** What it heard so far, one entry for each connection, or for each datagram. */
  heard(): Promise<Heard[]>;
  /** Closes the socket; connections it has accepted are cut. */
  close(): Promise<void>;
}

/** An open TCP connection of a program inside the namespace. */
export interface OpenConnection {
  /**
   * Sends a text and waits for an answer.
   *
   * @param say - what to send
   * @param timeoutMs - how long to wait, in milliseconds
   * @returns what came back; empty when nothing came in time
   */
  exchange(say: string, timeoutMs?: number): Promise<string>;
  /** Closes the connection in order (FIN). */
  close(): Promise<void>;
  /** Tears the connection down (RST). */
  reset(): Promise<void>;
}

/** Opens sockets inside one namespace. */
export class Traffic {
  #child: ChildProcess;
  #waiting = new Map<number, Waiting>();
  #nextId = 1;

  /**
   * @param namespace - full name of the network namespace
   */
  constructor(namespace: string) {
    const program = fileURLToPath(new URL("./programs/traffic.js", import.meta.url));
    this.#child = spawn("ip", ["netns", "exec", namespace, process.execPath, program], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#child.on("message", (message) => this.#settle(message as AnswerMessage));
    this.#child.once("exit", (status, signal) => this.#fail(`ended (${signal ?? status})`));
    this.#child.once("error", (error) => this.#fail(error.message));
  }

  /**
   * Starts a TCP server and waits until it listens.
   *
   * @param options - where it listens and what it does; it echoes by default
   */
  async listenTcp(options: ListenOptions): Promise<Listener> {
    return this.#listener(await this.#ask("listenTcp", options));
  }

  /**
   * Starts a UDP server and waits until its socket is bound.
   *
   * @param options - where it listens and what it does; it echoes by default
   */
  async listenUdp(options: ListenOptions): Promise<Listener> {
    return this.#listener(await this.#ask("listenUdp", options));
  }

  /**
   * Connects over TCP, says something if asked to, waits for an answer, and closes.
   *
   * @param destination - where to, and what to say
   * @returns how it went; a firewall's silence is `timeout`
   */
  connectTcp(destination: Destination & { readonly say?: string }): Promise<TcpResult> {
    return this.#ask("connectTcp", destination);
  }

  /**
   * Opens a TCP connection that stays open.
   *
   * @param destination - where to
   * @throws {FirewallError} `TRAFFIC_FAILED` when it cannot be opened
   */
  async openTcp(destination: Destination): Promise<OpenConnection> {
    const { connection, outcome } = await this.#ask("openTcp", destination);
    if (outcome !== "connected") {
      throw new FirewallError("TRAFFIC_FAILED", `${destination.address}:${destination.port}: ${outcome}`);
    }
    const finish = async (reset: boolean): Promise<void> => {
      await this.#ask("closeTcp", { connection, reset });
    };
    return {
      exchange: (say, timeoutMs = TIMEOUT_MS) => this.#ask("exchange", { connection, say, timeoutMs }),
      close: () => finish(false),
      reset: () => finish(true),
    };
  }

  /**
   * Sends many bytes to a server that listens in the manner `digest`.
   *
   * @param destination - where to, and how many bytes
   * @returns how long it took, and whether every byte arrived unchanged
   */
  transfer(destination: Destination & { readonly bytes: number }): Promise<TransferResult> {
    return this.#ask("transfer", destination);
  }

  /**
   * Sends one datagram and waits for an answer.
   *
   * @param destination - where to, and what to say
   * @returns how it went; a firewall's silence is `silent`
   */
  sendUdp(destination: Destination & { readonly say: string }): Promise<UdpResult> {
    return this.#ask("sendUdp", destination);
  }

  /** Ends the program and with it all its sockets. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }

  #listener(id: number): Listener {
    return {
      heard: () => this.#ask("heard", id),
      close: async () => {
        await this.#ask("unlisten", id);
      },
    };
  }

  #ask<N extends RequestName>(name: N, input: TrafficRequests[N]["in"]): Promise<TrafficRequests[N]["out"]> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (output: unknown) => void, reject });
      const message: RequestMessage = { id, name, input };
      this.#child.send(message, (error) => {
        if (error !== null) this.#settle({ id, failure: error.message });
      });
    });
  }

  #settle(answer: AnswerMessage): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (answer.failure === undefined) waiting?.resolve(answer.output);
    else waiting?.reject(new FirewallError("TRAFFIC_FAILED", answer.failure));
  }

  #fail(why: string): void {
    for (const id of this.#waiting.keys()) this.#settle({ id, failure: `traffic program: ${why}` });
  }
}
