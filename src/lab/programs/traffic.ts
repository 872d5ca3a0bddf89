/** Runs inside a network namespace, opens sockets there as it is told, and ends with its parent. */
import { createHash } from "node:crypto";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, createServer, type Server, type Socket } from "node:net";
import type {
  AnswerMessage,
  Destination,
  Heard,
  ListenOptions,
  RequestMessage,
  RequestName,
  TcpOutcome,
  TcpResult,
  TrafficRequests,
  TransferResult,
  UdpOutcome,
  UdpResult,
} from "../messages.ts";

/** Default patience for an answer, in milliseconds. */
const TIMEOUT_MS = 1_000;

/** How much of what was heard is kept as text, in bytes. */
const TEXT_BYTES = 4_096;

/** Size of one write of a transfer, in bytes. */
const CHUNK_BYTES = 65_536;

/** What the system's errors mean to somebody who watches a firewall. */
const OUTCOMES: Readonly<Record<string, "refused" | "reset" | "timeout" | "unreachable" | "forbidden">> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "reset",
  EPIPE: "reset",
  ETIMEDOUT: "timeout",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  EACCES: "unreachable",
  EPERM: "forbidden",
};

interface Station {
  readonly heard: Heard[];
  readonly close: () => Promise<void>;
}

type Handlers = {
  [N in RequestName]: (input: TrafficRequests[N]["in"]) => Promise<TrafficRequests[N]["out"]>;
};

const stations = new Map<number, Station>();
const connections = new Map<number, Socket>();
let nextId = 1;

function errorName(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "UNKNOWN";
}

function record(heard: Heard, chunk: Buffer): Heard {
  const text = (heard.text + chunk.toString("utf8")).slice(0, TEXT_BYTES);
  return { ...heard, text, bytes: heard.bytes + chunk.length };
}

function serve(socket: Socket, options: ListenOptions, heard: Heard[]): void {
  const index = heard.length;
  const digest = createHash("sha256");
  let own: Heard = { from: socket.remoteAddress ?? "", fromPort: socket.remotePort ?? 0, text: "", bytes: 0 };
  heard.push(own);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    own = record(own, chunk);
    heard[index] = own;
    if (options.manner === "digest") digest.update(chunk);
    else if (options.manner !== "mute") socket.write(chunk);
  });
  socket.on("end", () => {
    if (options.manner === "digest") socket.end(`${own.bytes} ${digest.digest("hex")}`);
    else socket.end();
  });
}

function listenTcp(options: ListenOptions): Promise<number> {
  const heard: Heard[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket.once("close", () => sockets.delete(socket)));
    serve(socket, options, heard);
  });
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      for (const socket of sockets) socket.destroy();
      server.close(() => resolve());
    });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: options.port, host: options.address ?? "::" }, () =>
      resolve(keepStation({ heard, close })),
    );
  });
}

function listenUdp(options: ListenOptions): Promise<number> {
  const heard: Heard[] = [];
  const address = options.address ?? "::";
  const socket: UdpSocket = createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.on("message", (message, peer) => {
    const { address: from, port: fromPort } = peer;
    heard.push(record({ from, fromPort, text: "", bytes: 0 }, message));
    if (options.manner !== "mute") socket.send(message, fromPort, from);
  });
  const close = (): Promise<void> => new Promise((resolve) => socket.close(() => resolve()));
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(options.port, address, () => resolve(keepStation({ heard, close })));
  });
}

function keepStation(station: Station): number {
  const id = nextId++;
  stations.set(id, station);
  return id;
}

function stationOf(id: number): Station {
  const station = stations.get(id);
  if (station === undefined) throw new Error(`no server ${id}`);
  return station;
}

/** Opens a connection; resolves with the socket when it stands and with an outcome in any case. */
function attempt(destination: Destination): Promise<{ socket: Socket; outcome: TcpOutcome; error: string }> {
  const { address, port, localAddress, localPort, timeoutMs = TIMEOUT_MS } = destination;
  const socket = connect({
    host: address,
    port,
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(localPort === undefined ? {} : { localPort }),
  });
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      socket.destroy();
      resolve({ socket, outcome: "timeout", error: "" });
    }, timeoutMs);
    socket.on("error", (problem) => {
      clearTimeout(timer);
      const error = errorName(problem);
      resolve({ socket, outcome: OUTCOMES[error] ?? "unreachable", error });
    });
    socket.once("connect", () => {
      clearTimeout(timer);
      resolve({ socket, outcome: "connected", error: "" });
    });
  });
}

/** Says something and returns the first answer; an empty text when none comes in time. */
function exchange(socket: Socket, say: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const finish = (text: string): void => {
      clearTimeout(timer);
      socket.off("data", onData).off("close", onClose);
      resolve(text);
    };
    const onData = (chunk: Buffer): void => finish(chunk.toString("utf8"));
    const onClose = (): void => finish("");
    const timer = setTimeout(onClose, timeoutMs);
    socket.once("data", onData).once("close", onClose);
    socket.write(say);
  });
}

async function connectTcp(destination: Destination & { readonly say?: string }): Promise<TcpResult> {
  const start = performance.now();
  const { socket, outcome, error } = await attempt(destination);
  const elapsedMs = performance.now() - start;
  let heard = "";
  if (outcome === "connected" && destination.say !== undefined) {
    heard = await exchange(socket, destination.say, destination.timeoutMs ?? TIMEOUT_MS);
  }
  socket.destroy();
  return { outcome, error, elapsedMs, heard };
}

async function openTcp(destination: Destination): Promise<TcpResult & { readonly connection: number }> {
  const start = performance.now();
  const { socket, outcome, error } = await attempt(destination);
  const connection = nextId++;
  if (outcome === "connected") connections.set(connection, socket);
  return { outcome, error, elapsedMs: performance.now() - start, heard: "", connection };
}

function connectionOf(id: number): Socket {
  const socket = connections.get(id);
  if (socket === undefined) throw new Error(`no connection ${id}`);
  return socket;
}

function closeTcp(id: number, reset: boolean): Promise<null> {
  const socket = connectionOf(id);
  connections.delete(id);
  if (socket.destroyed) return Promise.resolve(null);
  return new Promise((resolve) => {
    socket.once("close", () => resolve(null));
    if (reset) socket.resetAndDestroy();
    else socket.end();
    // The other side may never answer the FIN: the firewall under test decides that.
    setTimeout(() => socket.destroy(), TIMEOUT_MS).unref();
    socket.resume();
  });
}

/** Bytes that repeat only after 251 positions, so that a lost or moved piece changes the digest. */
function patternedChunk(): Buffer {
  return Buffer.from(Array.from({ length: CHUNK_BYTES }, (_, index) => (index * 7) % 251));
}

async function transfer(destination: Destination & { readonly bytes: number }): Promise<TransferResult> {
  const start = performance.now();
  const { timeoutMs = TIMEOUT_MS, bytes } = destination;
  const { socket, outcome } = await attempt(destination);
  if (outcome !== "connected") throw new Error(`transfer to ${destination.address}: ${outcome}`);
  const digest = createHash("sha256");
  const pattern = patternedChunk();
  const answer = answerOf(socket, timeoutMs);
  for (let sent = 0; sent < bytes && !socket.destroyed; sent += CHUNK_BYTES) {
    const chunk = pattern.subarray(0, Math.min(CHUNK_BYTES, bytes - sent));
    digest.update(chunk);
    if (!socket.write(chunk)) await drained(socket);
  }
  socket.end();
  const heard = await answer;
  socket.destroy();
  const isIntact = heard === `${bytes} ${digest.digest("hex")}`;
  return { bytes, elapsedMs: performance.now() - start, isIntact };
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      socket.off("drain", finish).off("close", finish);
      resolve();
    };
    socket.once("drain", finish).once("close", finish);
  });
}

/** All that comes back until the stream ends, or until the time is over. */
function answerOf(socket: Socket, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const timer = setTimeout(() => socket.destroy(), timeoutMs);
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
    });
    socket.once("close", () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}

function sendUdp(destination: Destination & { readonly say: string }): Promise<UdpResult> {
  const start = performance.now();
  const { address, port, localAddress, localPort, timeoutMs = TIMEOUT_MS } = destination;
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  return new Promise((resolve) => {
    const finish = (outcome: UdpOutcome, error: string, heard: string): void => {
      clearTimeout(timer);
      socket.removeAllListeners("error").on("error", () => {});
      socket.close();
      resolve({ outcome, error, elapsedMs: performance.now() - start, heard });
    };
    const fail = (problem: unknown): void => {
      const error = errorName(problem);
      const outcome = OUTCOMES[error] ?? "unreachable";
      finish(outcome === "reset" || outcome === "timeout" ? "unreachable" : outcome, error, "");
    };
    const timer = setTimeout(() => finish("silent", "", ""), timeoutMs);
    socket.once("error", fail);
    socket.once("message", (message) => finish("answered", "", message.toString("utf8")));
    // Only a connected socket hears of an ICMP "port unreachable".
    socket.bind(localPort ?? 0, localAddress, () => {
      socket.connect(port, address, () => socket.send(destination.say));
    });
  });
}

const handlers: Handlers = {
  listenTcp,
  listenUdp,
  heard: (id) => Promise.resolve(stationOf(id).heard),
  unlisten: async (id) => {
    await stationOf(id).close();
    stations.delete(id);
    return null;
  },
  connectTcp,
  openTcp,
  exchange: ({ connection, say, timeoutMs }) => exchange(connectionOf(connection), say, timeoutMs),
  closeTcp: ({ connection, reset }) => closeTcp(connection, reset),
  transfer,
  sendUdp,
};

async function answer(request: RequestMessage): Promise<AnswerMessage> {
  const handler = handlers[request.name] as (input: unknown) => Promise<unknown>;
  try {
    return { id: request.id, output: await handler(request.input) };
  } catch (error) {
    return { id: request.id, failure: `${request.name}: ${(error as Error).message}` };
  }
}

process.on("message", (request: RequestMessage) => {
  void answer(request).then((message) => process.send?.(message));
});
process.on("disconnect", () => process.exit(0));
// Ctrl-C reaches the whole process group; the parent decides when this program ends.
process.on("SIGINT", () => {});
