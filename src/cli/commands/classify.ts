/** `postern classify`: encrypted, or merely compressed? */
import { type Command, InvalidArgumentError } from "commander";
import {
  CLASSIFY_BYTES_MAX,
  FRAGMENT_BYTES,
  type FragmentReport,
  HEDGE_GAMMA,
  reportFragment,
} from "../../classify/index.ts";
import { readChunks } from "../input-file.ts";
import { parseCount, parseDecimal } from "../numbers.ts";
import { openOutput, type Output, paint } from "../output.ts";

/** Bytes read from a file at a time. */
const CHUNK_BYTES = 65_536;

const COLOURS = { encrypted: "red", compressed: "cyan", plain: "green", undecided: "grey" } as const;

function parseSize(text: string): number {
  const size = parseCount(text);
  if (size > CLASSIFY_BYTES_MAX)
    throw new InvalidArgumentError(`It takes at most ${CLASSIFY_BYTES_MAX} bytes.`);
  return size;
}

interface ClassifyFlags {
  size: number;
  gamma: number;
  json?: boolean;
}

function parseGamma(text: string): number {
  const gamma = parseDecimal(text);
  if (gamma <= 0) throw new InvalidArgumentError("It takes a number above 0, such as 2.5.");
  return gamma;
}

function writeFragment(output: Output, report: FragmentReport): void {
  if (output.json) {
    output.write(`${JSON.stringify(report)}\n`);
    return;
  }
  const { file, offset, bytes, verdict, confidence, hedge } = report;
  const answer = paint(output, COLOURS[verdict], verdict.padEnd(10));
  const place = `${file}  ${String(offset).padStart(10)} +${bytes}`;
  output.write(`${answer}  ${confidence.toFixed(2)}  ${place}  (HEDGE: ${hedge})\n`);
}

/** Pieces of equal size of a file; the last one may be shorter. */
async function* fragments(file: string, size: number): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(size);
  let filled = 0;
  for await (const bytes of readChunks("the file", file, CHUNK_BYTES)) {
    for (let from = 0; from < bytes.length; ) {
      const part = bytes.subarray(from, from + size - filled);
      piece.set(part, filled);
      filled += part.length;
      from += part.length;
      if (filled < size) continue;
      yield piece;
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

async function classify(files: readonly string[], flags: ClassifyFlags): Promise<void> {
  const { gamma } = flags;
  const output = openOutput({ json: flags.json, jsonWhenPiped: true });
  for (const file of files) {
    let offset = 0;
    for await (const fragment of fragments(file, flags.size)) {
      writeFragment(output, reportFragment(file, offset, fragment, { gamma }));
      offset += fragment.length;
    }
  }
}

/** Adds `postern classify`. */
export function addClassifyCommand(program: Command): void {
  program
    .command("classify")
    .summary("tell encrypted bytes from compressed ones")
    .description(
      "Says of each fragment of the files whether it is encrypted, compressed, plain or undecided, and what HEDGE " +
        "makes of it; needs no root and no kernel. One JSON object a line unless a person looks on.",
    )
    .argument("<file...>", "files of any kind")
    .option("--size <bytes>", `bytes of a fragment, 1 to ${CLASSIFY_BYTES_MAX}`, parseSize, FRAGMENT_BYTES)
    .option("--gamma <deviations>", "how far HEDGE lets χ² lie from its mean", parseGamma, HEDGE_GAMMA)
    .option("--json", "one JSON object a line, also for a person")
    .action(classify);
}
