/**
 * Room for requests that are being received. Each says how long it will be, and is refused when all together
 * would be more than there is room for; so agents that send slowly cost a bounded amount of memory.
 */
import type { FastifyRequest } from "fastify";
import { DoorError } from "./problem.ts";

/** Counts bytes that are on their way in. */
export class UploadRoom {
  readonly #max: number;
  readonly #bodyMax: number;
  readonly #reserved: WeakMap<FastifyRequest, number> = new WeakMap();
  #taken = 0;

  /**
   * @param max - bytes at a time
   * @param bodyMax - bytes of one request; one that does not say its length counts as this long
   */
  constructor(max: number, bodyMax: number) {
    this.#max = max;
    this.#bodyMax = bodyMax;
  }

  /** @throws {DoorError} `DOOR_BUSY` */
  enter(request: FastifyRequest): void {
    const bytes = this.#announced(request);
    if (bytes === 0) return;
    // What is alone in the room may always come: otherwise it never could.
    if (this.#taken > 0 && this.#taken + bytes > this.#max) {
      throw new DoorError("DOOR_BUSY", "Too many long requests are being received. Come back later.", 1);
    }
    this.#taken += bytes;
    this.#reserved.set(request, bytes);
  }

  /** It was received, or never will be. */
  leave(request: FastifyRequest): void {
    this.#taken -= this.#reserved.get(request) ?? 0;
    this.#reserved.delete(request);
  }

  #announced({ headers }: FastifyRequest): number {
    if (headers["transfer-encoding"] !== undefined) return this.#bodyMax;
    const bytes = Number(headers["content-length"] ?? 0);
    return Number.isFinite(bytes) ? Math.min(bytes, this.#bodyMax) : this.#bodyMax;
  }
}
