/** Answers of the control socket that come as JSON lines: lists of any length, and watches. */
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";

/** Characters of a list that are written at a time. */
const GATHERED_MAX = 65_536;

async function* linesAsTheyCome(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield `${JSON.stringify(value)}\n`;
}

/** Lines in bundles: each costs a write of its own otherwise. */
async function* gatheredLines(values: AsyncIterable<unknown> | Iterable<unknown>): AsyncGenerator<string> {
  let gathered = "";
  for await (const value of values) {
    gathered += `${JSON.stringify(value)}\n`;
    if (gathered.length < GATHERED_MAX) continue;
    yield gathered;
    gathered = "";
  }
  if (gathered !== "") yield gathered;
}

/**
 * Sends a list, one JSON object a line; a reader that is slow slows the making of it.
 *
 * @param values - what is listed
 */
export function sendLines(
  reply: FastifyReply,
  values: AsyncIterable<unknown> | Iterable<unknown>,
): FastifyReply {
  return reply.type("application/x-ndjson").send(Readable.from(gatheredLines(values)));
}

/**
 * Sends what happens, one JSON object a line, each as it comes.
 *
 * @param values - without an end
 */
export function sendNews(reply: FastifyReply, values: AsyncIterable<unknown>): FastifyReply {
  return reply.type("application/x-ndjson").send(Readable.from(linesAsTheyCome(values)));
}

/**
 * Lets the first value come before the answer begins, so that a refusal is an error and not half an answer.
 */
export async function begun<Value>(values: AsyncGenerator<Value>): Promise<AsyncGenerator<Value>> {
  const first = await values.next();
  return (async function* () {
    if (first.done === true) return;
    yield first.value;
    yield* values;
  })();
}
