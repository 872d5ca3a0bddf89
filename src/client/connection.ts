/** HTTP over the daemon's Unix socket: requests with JSON bodies and JSON answers. */
import { type IncomingMessage, request } from "node:http";
import { FirewallError } from "../base/index.ts";
import type { ProblemDetails } from "./api.ts";

/** Longest answer that is read whole, in bytes; longer lists come as streams. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** One request. */
export interface ApiRequest {
  readonly method: "GET" | "POST" | "DELETE" | "PUT";
  readonly path: string;
  readonly body?: unknown;
}

function connectError(socket: string, cause: NodeJS.ErrnoException): FirewallError {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "there is no such socket; is a firewall running (postern up)?",
    ECONNREFUSED: "nobody listens there; a firewall that crashed may have left it behind (postern down)",
    ECONNRESET: "it closed the connection: it ends just now, or has too many clients; try again",
    EPIPE: "it closed the connection: it ends just now, or has too many clients; try again",
    EACCES: "this user may not use it; ask its owner or use sudo",
  };
  const reason = reasons[cause.code ?? ""] ?? cause.message;
  return new FirewallError("CONTROL_SOCKET", `cannot reach the firewall at ${socket}: ${reason}`, { cause });
}

function answerError(status: number, text: string): FirewallError {
  let problem: Partial<ProblemDetails> = {};
  try {
    problem = JSON.parse(text) as Partial<ProblemDetails>;
  } catch {
    // An answer that is no JSON is shown as it is.
  }
  const message = problem.detail ?? (text === "" ? `the firewall answered with status ${status}` : text);
  return new ApiError(problem.code ?? "CONTROL_ANSWER", message, status, problem.problems ?? []);
}

/** The firewall answered, and the answer is an error. */
export class ApiError extends FirewallError {
  /** HTTP status of the answer. */
  readonly status: number;
  /** What is wrong with a policy, when that is the failure. */
  readonly problems: NonNullable<ProblemDetails["problems"]>;

  /**
   * @param code - stable code of the failure
   * @param message - the answer's detail
   * @param status - HTTP status
   * @param problems - complaints about a policy
   */
  constructor(
    code: string,
    message: string,
    status: number,
    problems: NonNullable<ProblemDetails["problems"]>,
  ) {
    super(code, message, { details: { status } });
    this.status = status;
    this.problems = problems;
  }
}

/** Reads a whole answer, up to a limit. */
export function readAnswer(answer: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    answer.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > ANSWER_BYTES_MAX) answer.destroy(new Error(`answer beyond ${ANSWER_BYTES_MAX} bytes`));
      else chunks.push(chunk);
    });
    answer.on("error", reject);
    answer.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
  });
}

/**
 * Sends one request and reads the whole answer.
 *
 * @param socket - path of the Unix socket
 * @returns the answer's JSON value
 * @throws {ApiError} when the firewall answers with an error
 * @throws {FirewallError} `CONTROL_SOCKET` when it cannot be reached
 */
export function callApi(socket: string, call: ApiRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const outgoing = request(
      { socketPath: socket, path: call.path, method: call.method, headers },
      (answer) => {
        readAnswer(answer).then((text) => {
          const status = answer.statusCode ?? 0;
          if (status >= 400) reject(answerError(status, text));
          else resolve(text === "" ? undefined : JSON.parse(text));
        }, reject);
      },
    );
    outgoing.on("error", (cause: NodeJS.ErrnoException) => reject(connectError(socket, cause)));
    outgoing.end(body);
  });
}

/**
 * Sends one request and reads the answer as JSON lines, as they come. Leaving the loop ends the request.
 *
 * @param socket - path of the Unix socket
 * @param path - path and query of a GET request
 * @throws {ApiError} when the firewall answers with an error
 * @throws {FirewallError} `CONTROL_SOCKET` when it cannot be reached
 */
export async function* streamApi(socket: string, path: string): AsyncGenerator<unknown> {
  const outgoing = request({ socketPath: socket, path, method: "GET" });
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once("response", resolve);
    outgoing.once("error", (cause: NodeJS.ErrnoException) => reject(connectError(socket, cause)));
    outgoing.end();
  });
  try {
    if ((answer.statusCode ?? 0) >= 400) throw answerError(answer.statusCode ?? 0, await readText(answer));
    for await (const line of linesOf(answer)) yield JSON.parse(line);
  } finally {
    // Whoever leaves in the middle of an answer aborts it, and wants to hear nothing of that.
    for (const stream of [outgoing, answer]) stream.on("error", () => undefined);
    outgoing.destroy();
  }
}

/** Lines of a text that comes in pieces. The last one needs no end. */
async function* linesOf(answer: IncomingMessage): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of answer.setEncoding("utf8")) {
    const lines = (rest + String(chunk)).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}

async function readText(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += String(chunk);
  return text;
}
