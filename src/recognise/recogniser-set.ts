/**
 * The recognisers of a worker, sorted so that a flow's first byte finds those that can begin with it.
 *
 * The table is what makes a refusal cheap: a datagram or a stream meets a handful of recognisers, not all of
 * them.
 */
import type { Cryptography } from "./crypto.ts";
import { nodeCryptography } from "./crypto.ts";
import { Evidence } from "./evidence.ts";
import { OwnRecogniser, type RecogniserFailure } from "./own-recogniser.ts";
import { guessByPort } from "./port-guess.ts";
import { builtInRecognisers } from "./protocols/index.ts";
import type { Recogniser, Transport } from "./recogniser.ts";

/** Distinct first bytes. */
const BYTE_VALUES = 256;

/** Bounds of what recognition looks at before it gives up. */
export interface RecognitionLimits {
  /** Bytes of one direction of a stream that are kept and looked at. */
  readonly streamBytes: number;
  /** Datagrams of a flow that are looked at. */
  readonly datagrams: number;
  /** Places at which a stream that began before the first packet seen is tried, per direction: 1 to 15. */
  readonly attempts: number;
}

/** How a set is made; all have defaults. */
export interface RecogniserSetOptions {
  /** Recognisers of one's own; they are watched, and asked before the built-in ones. */
  readonly own?: readonly Recogniser[];
  /** Told when one of them fails. */
  readonly failed?: RecogniserFailure;
  readonly limits?: Partial<RecognitionLimits>;
  readonly cryptography?: Cryptography;
  /** Whether a flow that nothing matched is named by its port, with confidence "guessed". */
  readonly guessByPort?: boolean;
}

/** The defaults of {@link RecognitionLimits}. */
export const DEFAULT_RECOGNITION_LIMITS: RecognitionLimits = {
  streamBytes: 32_768,
  datagrams: 24,
  attempts: 6,
};

type FirstByteTable = readonly (readonly Recogniser[])[];

function buildTable(recognisers: readonly Recogniser[], transport: Transport): FirstByteTable {
  const table: Recogniser[][] = Array.from({ length: BYTE_VALUES }, () => []);
  for (const recogniser of recognisers) {
    if (!recogniser.transports.includes(transport)) continue;
    for (let byte = 0; byte < BYTE_VALUES; byte += 1) {
      if (recogniser.firstBytes === undefined || recogniser.firstBytes.includes(byte)) {
        table[byte]?.push(recogniser);
      }
    }
  }
  return table;
}

/** See the head of this file. Shared by all flows of a worker. */
export class RecogniserSet {
  readonly limits: RecognitionLimits;
  /** Moved from look to look; nobody else may use it. */
  readonly evidence: Evidence;
  readonly #guess: boolean;
  readonly #streams: FirstByteTable;
  readonly #datagrams: FirstByteTable;
  readonly #protocols: readonly string[];

  /** @param options - recognisers of one's own, limits */
  constructor(options: RecogniserSetOptions = {}) {
    const own = (options.own ?? []).map((each) => new OwnRecogniser(each, options.failed));
    const recognisers = [...own, ...builtInRecognisers];
    this.limits = { ...DEFAULT_RECOGNITION_LIMITS, ...options.limits };
    this.evidence = new Evidence(options.cryptography ?? nodeCryptography);
    this.#guess = options.guessByPort ?? false;
    this.#streams = buildTable(recognisers, "TCP");
    this.#datagrams = buildTable(recognisers, "UDP");
    this.#protocols = [...new Set(recognisers.map((recogniser) => recogniser.protocol))].sort();
  }

  /** Names of all protocols that the set can find, sorted. */
  get protocols(): readonly string[] {
    return this.#protocols;
  }

  /** Recognisers of what can begin with this byte, most specific first. */
  starting(transport: Transport, firstByte: number): readonly Recogniser[] {
    return (transport === "TCP" ? this.#streams : this.#datagrams)[firstByte] ?? [];
  }

  /** Name that the port suggests, where guessing is allowed and the port says anything. */
  guess(transport: Transport, serverPort: number): string | undefined {
    return this.#guess ? guessByPort(transport, serverPort) : undefined;
  }
}
