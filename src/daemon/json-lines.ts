/** Answers of the control socket that come as JSON lines: lists of any length, and watches. */
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";

/** Characters of a list that are written at a time. */
const GATHERED_MAX = 65_536;

async function* linesAsTheyCome(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield `${JSON.stringify(value)}\n`;
}

function* gatheredLines(values: Iterable<unknown>): Generator<string> {
  let gathered = "";
  for (const value of values) {
    gathered += `${JSON.stringify(value)}\n`;
    if (gathered.length < GATHERED_MAX) continue;
    yield gathered;
    gathered = "";
  }
  if (gathered !== "") yield gathered;
}

/**
 * Sends values, one JSON object a line; a reader that is slow slows the making of them.
 *
 * @param values - those of an asynchronous source are sent as they come, others in bundles
 */
export function sendLines(
  reply: FastifyReply,
  values: AsyncIterable<unknown> | Iterable<unknown>,
): FastifyReply {
  const lines = Symbol.asyncIterator in values ? linesAsTheyCome(values) : gatheredLines(values);
  return reply.type("application/x-ndjson").send(Readable.from(lines));
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
