/** All rules in one list, and the measure that says whether tidy has seen anything at all. */
import { checkOffsets, checkSequences } from "./bytes.ts";
import { checkExports, checkLinks, checkReadmes, checkTitles } from "./documents.ts";
import type { Finding, Rule } from "./finding.ts";
import { checkLayers } from "./layers.ts";
import type { Repository } from "./repository.ts";
import { checkComments, checkFileNames, checkLineLength } from "./words.ts";

/** A check that saw fewer files than this was not looking at the repository. */
const FEWEST = { sources: 100, pages: 8 };

/** Layers whose code follows published specifications closely enough to quote them. */
const CITING_LAYERS = ["wire", "netlink", "state", "stream", "simco"];

const RULES: readonly Rule[] = [
  checkLayers,
  checkFileNames,
  checkComments,
  checkLineLength,
  checkOffsets,
  checkSequences,
  checkExports,
  checkTitles,
  checkLinks,
  checkReadmes,
];

/**
 * Applies every rule.
 *
 * @param repository - what to look at
 * @returns what breaks a rule, by file and line
 */
export function tidy(repository: Repository): Finding[] {
  return RULES.flatMap((rule) => rule(repository)).sort((a, b) =>
    a.path === b.path ? a.line - b.line : a.path < b.path ? -1 : 1,
  );
}

/**
 * Guards against a check that passes because it saw nothing.
 *
 * @param repository - what was looked at
 * @returns a sentence when there were too few files; `undefined` otherwise
 */
export function blindness(repository: Repository): string | undefined {
  const sources = repository.files.filter((file) => file.layer !== "" && file.path.endsWith(".ts")).length;
  const pages = repository.files.filter((file) => file.path.endsWith(".md")).length;
  if (sources >= FEWEST.sources && pages >= FEWEST.pages) return undefined;
  return `tidy saw only ${sources} sources and ${pages} pages: it is not looking at the repository`;
}

/**
 * Counts references to RFCs in comments.
 *
 * @param repository - what to look at
 * @returns one line for each layer that follows specifications: references per thousand lines
 */
export function citations(repository: Repository): string[] {
  return CITING_LAYERS.flatMap((layer) => {
    const files = repository.files.filter((file) => file.layer === layer && !file.isTest);
    const lines = files.reduce((sum, file) => sum + file.lines.length, 0);
    const cited = files
      .flatMap((file) => file.comments)
      .filter((line) => /\bRFC \d+|\bman \w+|\(\d\)/.test(line.text));
    return lines === 0
      ? []
      : [`src/${layer}: ${((cited.length * 1000) / lines).toFixed(1)} citations per 1000 lines`];
  });
}
