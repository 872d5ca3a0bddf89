/**
 * One route of the HTTP door: what fastify must know to check a request, what the OpenAPI document says about
 * it, and what is done. One description serves all three, so none of them can be wrong about another.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Agent } from "../../../pinhole/index.ts";

/** A JSON schema. */
export type Schema = Readonly<Record<string, unknown>>;

/** A request that was found well formed. */
export interface PinholeCall {
  /** Who asks. */
  readonly agent: Agent;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly body: unknown;
  /** From the `If-Match` header; undefined when it is absent. */
  readonly revision: number | undefined;
  /** From the `Idempotency-Key` header. */
  readonly idempotencyKey: string | undefined;
  readonly request: FastifyRequest;
  /** For answers that are streams. */
  readonly reply: FastifyReply;
}

/** What is answered. */
export interface PinholeReply {
  /** 200 when absent. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Undefined: no body (204), or the reply was taken over as a stream. */
  readonly body?: unknown;
}

/** What an answer looks like, for the document. */
export interface AnswerDescription {
  readonly description: string;
  /** Name of a component schema. */
  readonly schema?: string;
  readonly mediaType?: string;
  /** Names of headers, with what they say. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A route. */
export interface PinholeRoute {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With parameters as `:name`. */
  readonly path: string;
  /** Name of the operation in generated clients. */
  readonly id: string;
  /** One line. */
  readonly summary: string;
  /** Schemas of the parameters in the path. */
  readonly params?: Readonly<Record<string, Schema>>;
  /** Schemas of the parameters behind `?`; all are texts, and all may be absent. */
  readonly query?: Readonly<Record<string, Schema>>;
  /** Schema of the body, as it is checked. */
  readonly body?: Schema;
  /** Name of the body's component schema, for the document. */
  readonly bodyName?: string;
  /** True: takes an `Idempotency-Key`. */
  readonly isIdempotent?: boolean;
  /** True: honours `If-Match`. */
  readonly isConditional?: boolean;
  /** By status. */
  readonly answers: Readonly<Record<number, AnswerDescription>>;
  /** Codes of refusals that are to be expected beyond those of every route. */
  readonly problems?: readonly string[];
  handle(call: PinholeCall): Promise<PinholeReply> | PinholeReply;
}
