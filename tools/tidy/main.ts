/** Prints what breaks a rule of docs/STYLE.md: rule, file, line and the fix. `npm run tidy`. */
import { fileURLToPath } from "node:url";
import { readRepository } from "./repository.ts";
import { blindness, citations, tidy } from "./tidy.ts";

const repository = readRepository(fileURLToPath(new URL("../../..", import.meta.url)));
const blind = blindness(repository);
const findings = tidy(repository);
for (const { rule, path, line, fix } of findings) process.stdout.write(`${path}:${line}: ${rule}: ${fix}\n`);
for (const line of citations(repository)) process.stdout.write(`${line}\n`);
if (blind !== undefined) process.stdout.write(`${blind}\n`);
process.stdout.write(`${repository.files.length} files, ${findings.length} findings\n`);
process.exitCode = findings.length > 0 || blind !== undefined ? 1 : 0;
