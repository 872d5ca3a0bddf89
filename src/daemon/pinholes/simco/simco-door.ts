/**
 * The SIMCO door: TCP, in clear text for the machine itself and with TLS for everybody else, on one port; or
 * a Unix socket.
 *
 * The first octet says what comes: 0x16 begins a TLS handshake, 0x01 a request. Who comes in clear text from
 * another machine is told that TLS is required.
 */
import { createHmac, randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { createServer, isIP, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, TLSSocket } from "node:tls";
import { FirewallError, type Milliseconds, parseAddress, Prefix } from "../../../base/index.ts";
import type { NatMode } from "../../../pinhole/index.ts";
import {
  type Box,
  type Capabilities,
  PACKET_FILTER,
  type Peer,
  type ServerSession,
  SESSION_TIMES,
  type SessionTimes,
  SimcoServer,
} from "../../../simco/index.ts";
import { clearSocketPath, listenAtSocket, type SocketPlace } from "../../socket-place.ts";
import { ConnectionKeeper } from "../http/connection-keeper.ts";
import { identityOf } from "../http/peer.ts";
import type { TlsMaterial } from "../http/server.ts";
import type { OpenDoor, PinholeDoor, PinholeHouse } from "../pinhole-door.ts";
import { RequestMeter } from "../request-meter.ts";
import { SocketTransport } from "./socket-transport.ts";

/** How the middlebox presents itself. */
export interface SimcoBoxOptions {
  /** What it calls itself when it proves who it is; `postern` when absent. */
  readonly identity?: string;
  /** Its key for that; absent: it cannot prove who it is, and says so. */
  readonly key?: Uint8Array;
  /** Name of the agent that clear text from this machine comes from; absent: it must prove who it is. */
  readonly localAgent?: string;
  /** Networks from which agents may come; absent: all. */
  readonly sources?: readonly Prefix[];
  /** Transport protocols that are handled; absent: all. */
  readonly protocols?: readonly number[];
  /** True: also a reservation is not enabled in both directions with wildcards. */
  readonly isStrictAboutEnabling?: boolean;
  /** What is announced in place of the defaults. */
  readonly capabilities?: Partial<Capabilities>;
  readonly times?: SessionTimes;
}

/** Where a door on TCP is. */
export interface SimcoPlace extends SimcoBoxOptions {
  readonly host: string;
  /** {@link SIMCO_PORT} unless there is a reason. */
  readonly port: number;
  /** What is shown and demanded in TLS; absent: only this machine can come in. */
  readonly material?: TlsMaterial;
}

/** Registered port (RFC 4540 section 3). */
export const SIMCO_PORT = 7626;

/** First octet of a TLS handshake (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 0x16;

/** Longest time for a TLS handshake, in milliseconds. */
const HANDSHAKE_MS = 10_000;

/** How often sessions look at the clock, in milliseconds. */
const TICK_MS = 250;

/** Octets that bind a proof to a connection, and their label (RFC 9266). */
const BINDING_OCTETS = 32;
const BINDING_LABEL = "EXPORTER-Channel-Binding";

/** Connections that wait to be let in; the kernel has a limit of its own (`net.core.somaxconn`). */
const BACKLOG = 4096;

/** How long the last words may take when the door closes, in milliseconds. */
const CLOSING_MS = 2000;

const LOOPBACK = [Prefix.parse("127.0.0.0/8"), Prefix.parse("::1/128")];
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/;
const NOTHING = new Uint8Array(0);

/** Name of the agent that a certificate stands for when nobody named it: there is no such agent. */
const NOBODY = "";

/** The address of the other end; empty for a Unix socket. */
function addressOf(socket: Socket): string {
  const { remoteAddress = "" } = socket;
  return MAPPED.exec(remoteAddress)?.[1] ?? remoteAddress;
}

function liesIn(text: string, networks: readonly (Prefix | undefined)[]): boolean {
  const address = parseAddress(text);
  return (
    address !== undefined && networks.some((one) => one?.contains(address.family, address.words) === true)
  );
}

function hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update(data).digest();
}

/** What translation changes in what is announced. */
function translating(modes: readonly NatMode[]): Partial<Capabilities> {
  if (modes.length === 0) return {};
  return {
    translates: true,
    translatesPorts: true,
    translatesTwice: modes.includes("twice"),
  };
}

function natModes({ service }: PinholeHouse): Promise<readonly NatMode[]> {
  return service.read((store) => store.natModes);
}

let doors = 0;

/** Serves connections, wherever they come from. */
class SimcoReception {
  readonly #house: PinholeHouse;
  readonly #options: SimcoBoxOptions;
  readonly #isUnix: boolean;
  readonly #server: SimcoServer;
  readonly #listener: Server;
  readonly #tls: TlsServer | undefined;
  readonly #keeper: ConnectionKeeper;
  /** Connections that have not said anything yet, and since when. */
  readonly #silent: Map<Socket, Milliseconds> = new Map();
  readonly #sockets: Set<Socket> = new Set();
  readonly #sessionSockets: WeakMap<ServerSession, Socket> = new WeakMap();
  readonly #timer: NodeJS.Timeout;

  /** @param modes - ways to translate addresses that are to be had */
  constructor(
    house: PinholeHouse,
    options: SimcoBoxOptions,
    material: TlsMaterial | "unix" | undefined,
    modes: readonly NatMode[],
  ) {
    this.#house = house;
    this.#options = { ...options, capabilities: { ...translating(modes), ...options.capabilities } };
    this.#isUnix = material === "unix";
    doors += 1;
    this.#server = new SimcoServer({
      box: this.#box(),
      store: house.service,
      limits: house.limits,
      name: `simco${doors}`,
      meter: new RequestMeter(),
      ...(options.times === undefined ? {} : { times: options.times }),
      onSession: (what, session) => this.#announce(what, session),
    });
    this.#listener = createServer({ allowHalfOpen: true }, (socket) => this.#greet(socket));
    this.#keeper = new ConnectionKeeper(this.#listener, house.limits.simcoConnections);
    this.#tls = material === undefined || material === "unix" ? undefined : this.#makeTls(material);
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** Where it listens, once it does. */
  get listener(): Server {
    return this.#listener;
  }

  /** Answers what is being carried out, says goodbye to everybody, and waits until they are gone. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    for (const socket of this.#silent.keys()) socket.destroy();
    this.#server.close();
    const cut = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, CLOSING_MS);
    await closed;
    clearTimeout(cut);
  }

  #box(): Box {
    const { identity = "postern", key, protocols = [], isStrictAboutEnabling = false } = this.#options;
    const { agents } = this.#house;
    return {
      identity,
      key,
      capabilities: { ...PACKET_FILTER, ...this.#options.capabilities },
      protocols,
      isStrictAboutEnabling,
      directory: { agent: (name) => agents.byName(name), key: (name) => agents.keyOf(name) },
      mac: hmac,
      entropy: (octets) => randomBytes(octets),
    };
  }

  #makeTls(material: TlsMaterial): TlsServer {
    const server = createTlsServer({
      ...material,
      requestCert: true,
      // Who shows no certificate may still prove who it is with a token.
      rejectUnauthorized: false,
      minVersion: "TLSv1.2",
      handshakeTimeout: HANDSHAKE_MS,
      allowHalfOpen: true,
    });
    server.on("secureConnection", (socket) => this.#serve(socket, NOTHING));
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    return server;
  }

  /** Waits for the first octet, which says what comes. */
  #greet(socket: Socket): void {
    this.#sockets.add(socket);
    this.#silent.set(socket, this.#house.service.moment.now);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#silent.delete(socket);
    });
    const onEnd = (): void => void socket.destroy();
    socket.once("end", onEnd);
    socket.once("data", (octets: Buffer) => {
      this.#silent.delete(socket);
      socket.removeListener("end", onEnd);
      if (octets[0] !== TLS_HANDSHAKE || this.#tls === undefined) {
        this.#serve(socket, octets);
        return;
      }
      socket.pause();
      socket.unshift(octets);
      this.#tls.emit("connection", socket);
    });
  }

  #serve(socket: Socket, first: Uint8Array): void {
    const session = this.#server.accept(this.#peerOf(socket), new SocketTransport(socket));
    this.#sessionSockets.set(session, socket);
    socket.on("data", (octets: Buffer) => session.receive(octets));
    socket.on("drain", () => session.drained());
    socket.on("end", () => session.inputEnded());
    socket.on("error", () => socket.destroy());
    socket.once("close", () => session.lost());
    if (first.length > 0) session.receive(first);
  }

  #peerOf(socket: Socket): Peer {
    const { sources, localAgent } = this.#options;
    const address = this.#isUnix ? "the Unix socket" : addressOf(socket);
    const isWelcome = this.#isUnix || sources === undefined || liesIn(address, sources);
    if (socket instanceof TLSSocket) return { address, isWelcome, ...this.#secured(socket) };
    const isLocal = this.#isUnix || liesIn(address, LOOPBACK);
    const agent = this.#isUnix ? this.#nameOf(socket) : isLocal ? localAgent : undefined;
    return { address, isWelcome, isProtected: isLocal, agent, binding: NOTHING };
  }

  #secured(socket: TLSSocket): Pick<Peer, "isProtected" | "agent" | "binding"> {
    const hasCertificate = Object.keys(socket.getPeerCertificate()).length > 0;
    // A certificate that cannot be trusted is worse than none.
    const isProtected = socket.authorized || !hasCertificate;
    const binding = socket.exportKeyingMaterial(BINDING_OCTETS, BINDING_LABEL, Buffer.alloc(0));
    return { isProtected, agent: this.#nameOf(socket) ?? (socket.authorized ? NOBODY : undefined), binding };
  }

  /** Name of the agent that the system or a certificate stands for. */
  #nameOf(socket: Socket): string | undefined {
    const identity = identityOf(socket);
    return identity === undefined ? undefined : this.#house.agents.identify(identity)?.name;
  }

  #tick(): void {
    const { openingMs } = this.#options.times ?? SESSION_TIMES;
    const { now } = this.#house.service.moment;
    for (const [socket, since] of this.#silent) {
      if (now - since < openingMs) break;
      socket.destroy();
    }
    this.#server.tick();
  }

  #announce(what: "opened" | "closed", session: ServerSession): void {
    const { agent, origin, peer } = session;
    if (agent === undefined) return;
    const socket = this.#sessionSockets.get(session);
    if (what === "opened" && socket !== undefined) this.#keeper.begin(socket);
    const text = `A SIMCO session of ${agent.name} from ${peer.address} ${what}.`;
    this.#house.service.announce({ type: `session.${what}`, owner: agent.name, origin, text });
  }
}

function listening(server: Server, where: { host: string; port: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...where, backlog: BACKLOG }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
}

/**
 * A SIMCO door on TCP.
 *
 * @param place - address and port, what is shown and demanded, and what the middlebox announces
 */
export function openSimcoDoor(place: SimcoPlace): OpenDoor {
  return async (house): Promise<PinholeDoor> => {
    const { host, port, material } = place;
    const reception = new SimcoReception(house, place, material, await natModes(house));
    try {
      await listening(reception.listener, { host, port });
    } catch (cause) {
      await reception.close();
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new FirewallError("DOOR_ADDRESS", `cannot listen at ${host} port ${port}: ${reason}`, { cause });
    }
    const bound = reception.listener.address();
    const actual = typeof bound === "object" && bound !== null ? bound.port : port;
    const address = `simco://${isIP(host) === 6 ? `[${host}]` : host}:${actual}`;
    return { address, close: () => reception.close() };
  };
}

/**
 * A SIMCO door on a Unix socket: the kernel says who asks.
 *
 * @param place - path, owner, group and mode
 */
export function openSimcoSocket(place: SocketPlace, options: SimcoBoxOptions = {}): OpenDoor {
  return async (house): Promise<PinholeDoor> => {
    const { path } = place;
    await clearSocketPath(path);
    const reception = new SimcoReception(house, options, "unix", await natModes(house));
    await listenAtSocket(place, () => listening(reception.listener, { path }));
    return {
      address: path,
      close: async () => {
        await reception.close();
        rmSync(path, { force: true });
      },
    };
  };
}
