/** How bytes and sequence numbers are handled. */
import type { Rule } from "./finding.ts";

/** Layers that read bytes of packets and messages. */
const BYTE_LAYERS = ["wire", "netlink", "simco"];

/** A read or write at `something + 4`: the 4 has no name. */
const LITERAL_OFFSET = /\.[gs]et(Big)?(Uint|Int|Float)\d+\([^,()]*\+ *\d+(?! *\*)/;

/** Layers that handle TCP sequence numbers; `base` alone computes with them. */
const SEQUENCE_LAYERS = ["wire", "state", "stream", "recognise", "engine", "policy"];

/** A TCP sequence number, by the names that code gives it. */
const SEQUENCE = "(seq|ack|sequence|sequenceNumber|acknowledgment|acknowledgement)";

/** A plain sum or difference with a sequence number, which is wrong where the numbers wrap around. */
const SEQUENCE_ARITHMETIC = new RegExp(`\\b${SEQUENCE}\\b\\s*[-+]\\s|[-+]\\s(\\w+\\.)*${SEQUENCE}\\b`);

/** Checks that offsets have names. */
export const checkOffsets: Rule = ({ files }) =>
  files
    .filter((file) => BYTE_LAYERS.includes(file.layer) && !file.isTest)
    .flatMap(({ path, code }) =>
      code
        .filter((line) => LITERAL_OFFSET.test(line.text))
        .map((line) => ({
          rule: "named-offsets",
          path,
          line: line.number,
          fix: "name the offset in the block at the top of the file, with the specification's section",
        })),
    );

/** Checks that sequence numbers are compared and added by `base` only. */
export const checkSequences: Rule = ({ files }) =>
  files
    .filter((file) => SEQUENCE_LAYERS.includes(file.layer) && !file.isTest)
    .flatMap(({ path, code }) =>
      code
        .filter((line) => SEQUENCE_ARITHMETIC.test(line.text))
        .map((line) => ({
          rule: "sequence-arithmetic",
          path,
          line: line.number,
          fix: "sequence numbers wrap around: use sequenceAdd, sequenceDistance and the others of src/base",
        })),
    );
