/**
 * SIMCO to a middlebox, as an agent: a connection with one session on it.
 *
 * TLS where certificates are given, clear text otherwise, which middleboxes take from their own machine only;
 * or a Unix socket.
 */
import { createHmac, randomBytes, randomInt } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { FirewallError } from "../base/index.ts";
import {
  AgentSession,
  type AnswerTo,
  type Capabilities,
  type Notice,
  type RuleAsked,
  type SimcoError,
} from "../simco/index.ts";

/** Registered port of SIMCO (RFC 4540 section 3). */
export const DEFAULT_SIMCO_PORT = 7626;

/** Where a middlebox is, and how both sides prove who they are. */
export interface SimcoMiddlebox {
  /** Path of its Unix socket; then nothing of the rest of the place counts. */
  readonly socket?: string;
  /** `127.0.0.1` when absent. */
  readonly host?: string;
  /** {@link DEFAULT_SIMCO_PORT} when absent. */
  readonly port?: number;
  readonly tls?: {
    /** Authority of the middlebox's certificate, PEM. */
    readonly ca: string | Buffer;
    /** Our certificate and its key, PEM; absent: a token proves who we are. */
    readonly cert?: string | Buffer;
    readonly key?: string | Buffer;
    /** Name in the middlebox's certificate when it is not the host. */
    readonly servername?: string;
  };
  /** Our name and the key that we share with the middlebox; absent: the connection proves who we are. */
  readonly proof?: { readonly identity: string; readonly key: Uint8Array };
  /** True: the middlebox must prove with that key who it is. */
  readonly demandsProof?: boolean;
}

/** What an agent wants to hear of a session. */
export interface SimcoListener {
  readonly onNotice?: (notice: Notice) => void;
  /** The session is over; undefined when it was ended here. */
  readonly onEnd?: (reason: SimcoError | undefined) => void;
}

const CHALLENGE_OCTETS = 16;
const BINDING_OCTETS = 32;
const BINDING_LABEL = "EXPORTER-Channel-Binding";
const TICK_MS = 500;
/** `randomInt` takes no wider range; the upper numbers come by counting. */
const TIDS = 0x7fffffff;

function mac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update(data).digest();
}

function placeOf({ socket, host = "127.0.0.1", port = DEFAULT_SIMCO_PORT }: SimcoMiddlebox): string {
  return socket ?? `${host} port ${port}`;
}

/** OpenSSL's words without its place in memory and in its source. */
function reasonOf({
  code,
  reason,
  message,
}: Error & { readonly code?: string; readonly reason?: string }): string {
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER") return "it does not speak TLS there";
  return reason ?? message;
}

/** Connects; when it returns, the socket can be written to. */
function dial(middlebox: SimcoMiddlebox): Promise<Socket> {
  const { socket: path, host = "127.0.0.1", port = DEFAULT_SIMCO_PORT, tls } = middlebox;
  return new Promise((resolve, reject) => {
    const isSecure = path === undefined && tls !== undefined;
    const socket: Socket = isSecure
      ? connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...tls })
      : connectTcp(path === undefined ? { host, port } : { path });
    socket.once(isSecure ? "secureConnect" : "connect", () => resolve(socket));
    socket.once("error", (cause) => {
      const message = `cannot connect to the middlebox at ${placeOf(middlebox)}: ${reasonOf(cause)}`;
      reject(new FirewallError("SIMCO_UNREACHABLE", message, { cause }));
    });
  });
}

function bindingOf(socket: Socket, { socket: path, tls }: SimcoMiddlebox): Uint8Array {
  if (path !== undefined || tls === undefined) return new Uint8Array(0);
  return (socket as TLSSocket).exportKeyingMaterial(BINDING_OCTETS, BINDING_LABEL, Buffer.alloc(0));
}

/** A session with a middlebox. */
export class SimcoConnection {
  readonly #session: AgentSession;
  readonly #timer: NodeJS.Timeout;
  readonly capabilities: Capabilities;

  private constructor(session: AgentSession, timer: NodeJS.Timeout, capabilities: Capabilities) {
    this.#session = session;
    this.#timer = timer;
    this.capabilities = capabilities;
  }

  /**
   * Connects and opens a session.
   *
   * @throws {FirewallError} `SIMCO_UNREACHABLE`
   * @throws {SimcoError} when the session is refused, or the middlebox does not prove who it is
   */
  static async open(middlebox: SimcoMiddlebox, listener: SimcoListener = {}): Promise<SimcoConnection> {
    const socket = await dial(middlebox);
    const { proof, demandsProof = false } = middlebox;
    const session = new AgentSession({
      transport: {
        send: (octets) => void socket.write(octets),
        end: () => void socket.end(),
      },
      now: () => performance.now(),
      firstTid: randomInt(TIDS),
      onNotice: (notice) => listener.onNotice?.(notice),
      onEnd: (reason) => {
        clearInterval(timer);
        listener.onEnd?.(reason);
      },
      ...(proof === undefined ? {} : { proof: { ...proof, binding: bindingOf(socket, middlebox), mac } }),
      ...(demandsProof ? { challenge: randomBytes(CHALLENGE_OCTETS) } : {}),
    });
    const timer = setInterval(() => session.tick(), TICK_MS);
    socket.on("data", (octets: Buffer) => session.receive(octets));
    socket.on("error", () => session.lost());
    socket.on("close", () => session.lost());
    try {
      return new SimcoConnection(session, timer, await session.open());
    } catch (error) {
      clearInterval(timer);
      socket.destroy();
      throw error;
    }
  }

  /** True until the session is over. */
  get isOpen(): boolean {
    return this.#session.state === "open";
  }

  /**
   * Sends a request and waits for its reply.
   *
   * @throws {SimcoError} `SIMCO_REFUSED`, `SIMCO_UNKNOWN`, `SIMCO_PROTOCOL`, `SIMCO_UNSUPPORTED`
   */
  ask<Asked extends RuleAsked>(request: Asked): Promise<AnswerTo<Asked["name"]>> {
    return this.#session.ask(request);
  }

  /** Ends the session. Its rules stay. */
  async close(): Promise<void> {
    await this.#session.close();
    clearInterval(this.#timer);
  }
}
