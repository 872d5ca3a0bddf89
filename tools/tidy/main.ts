/**
 * Prints what breaks a rule of docs/STYLE.md: rule, file, line and the fix. `npm run tidy`.
 *
 * `npm run tidy -- --fix` first breaks comments that are too wide, the one thing that a program mends well.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { wrapComments } from "./comment-wrap.ts";
import { readRepository } from "./repository.ts";
import { blindness, citations, tidy } from "./tidy.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
if (process.argv.includes("--fix")) {
  for (const { path, text } of readRepository(root).files.filter((file) =>
    /\.(ts|mjs|cjs)$/.test(file.path),
  )) {
    const wrapped = wrapComments(text);
    if (wrapped !== text) writeFileSync(join(root, path), wrapped);
  }
}
const repository = readRepository(root);
const blind = blindness(repository);
const findings = tidy(repository);
for (const { rule, path, line, fix } of findings) process.stdout.write(`${path}:${line}: ${rule}: ${fix}\n`);
for (const line of citations(repository)) process.stdout.write(`${line}\n`);
if (blind !== undefined) process.stdout.write(`${blind}\n`);
process.stdout.write(`${repository.files.length} files, ${findings.length} findings\n`);
process.exitCode = findings.length > 0 || blind !== undefined ? 1 : 0;
