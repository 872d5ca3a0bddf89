/** What a {@link Traffic} client and its program inside a namespace say to each other. */

/** How an attempt to connect over TCP ended. */
export type TcpOutcome = "connected" | "refused" | "reset" | "timeout" | "unreachable" | "forbidden";

/** How a datagram fared. */
export type UdpOutcome = "answered" | "silent" | "refused" | "unreachable" | "forbidden";

/** The other side of an exchange, and where it shall come from. */
export interface Destination {
  readonly address: string;
  readonly port: number;
  /** Source address; the system's choice when absent. */
  readonly localAddress?: string;
  /** Source port; the system's choice when absent. */
  readonly localPort?: number;
  /** How long to wait for an answer, in milliseconds; one second when absent. */
  readonly timeoutMs?: number;
}

/** Where a server listens. */
export interface ListenOptions {
  readonly port: number;
  /** Address to listen on; all addresses of both families when absent. */
  readonly address?: string;
  /**
   * What a server does with what it hears: sends it back, says nothing, or answers the end of a stream with
   * its length and SHA-256 digest.
   */
  readonly manner?: "echo" | "mute" | "digest";
}

/** What a server heard from one peer. */
export interface Heard {
  readonly from: string;
  readonly fromPort: number;
  /** The first 4096 bytes, as text. */
  readonly text: string;
  /** All bytes. */
  readonly bytes: number;
}

/** The result of connecting over TCP. */
export interface TcpResult {
  readonly outcome: TcpOutcome;
  /** The system's error name, such as `ECONNREFUSED`; empty when connected. */
  readonly error: string;
  /** Time until the outcome was known, in milliseconds. */
  readonly elapsedMs: number;
  /** What the server answered; empty when it did not, or when nothing was said to it. */
  readonly heard: string;
}

/** The result of sending a datagram. */
export interface UdpResult {
  readonly outcome: UdpOutcome;
  readonly error: string;
  readonly elapsedMs: number;
  readonly heard: string;
}

/** The result of sending many bytes. */
export interface TransferResult {
  readonly bytes: number;
  readonly elapsedMs: number;
  /** True when the server received exactly what was sent. */
  readonly isIntact: boolean;
}

/** Requests by name: what goes in and what comes out. */
export interface TrafficRequests {
  listenTcp: { in: ListenOptions; out: number };
  listenUdp: { in: ListenOptions; out: number };
  heard: { in: number; out: Heard[] };
  unlisten: { in: number; out: null };
  connectTcp: { in: Destination & { readonly say?: string }; out: TcpResult };
  openTcp: { in: Destination; out: TcpResult & { readonly connection: number } };
  exchange: {
    in: { readonly connection: number; readonly say: string; readonly timeoutMs: number };
    out: string;
  };
  closeTcp: { in: { readonly connection: number; readonly reset: boolean }; out: null };
  transfer: { in: Destination & { readonly bytes: number }; out: TransferResult };
  sendUdp: { in: Destination & { readonly say: string }; out: UdpResult };
}

/** The name of a request. */
export type RequestName = keyof TrafficRequests;

/** A request on its way to the program. */
export interface RequestMessage {
  readonly id: number;
  readonly name: RequestName;
  readonly input: unknown;
}

/** The answer on its way back. */
export interface AnswerMessage {
  readonly id: number;
  readonly output?: unknown;
  /** Why there is no output. */
  readonly failure?: string;
}
