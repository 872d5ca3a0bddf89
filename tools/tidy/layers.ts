/**
 * The layer table of docs/ARCHITECTURE.md, the folders under src and the compiler's references must agree.
 */
import type { Finding, Rule } from "./finding.ts";
import type { Repository, SourceFile } from "./repository.ts";

const RULE = "layer-table";
const DOCUMENT = "docs/ARCHITECTURE.md";
const ROW = /^\| `src\/([a-z]+)` \|[^|]*\|[^|]*\| ([^|]*) \|/;

interface Row {
  readonly layer: string;
  readonly imports: string;
  readonly line: number;
}

function rowsOf(document: SourceFile | undefined): Row[] {
  return (document?.lines ?? []).flatMap(({ number, text }) => {
    const match = ROW.exec(text);
    return match === null ? [] : [{ layer: match[1] ?? "", imports: (match[2] ?? "").trim(), line: number }];
  });
}

function fileAt(repository: Repository, path: string): SourceFile | undefined {
  return repository.files.find((file) => file.path === path);
}

/** Names of the layers that a project of the compiler may import, in its own order. */
function referencesOf(repository: Repository, path: string): string[] {
  const file = fileAt(repository, path);
  if (file === undefined) return [];
  const project = JSON.parse(file.text) as { references?: { path: string }[] };
  return (project.references ?? []).map((reference) => reference.path.replace(/^.*\//, ""));
}

function checkRow(repository: Repository, row: Row): Finding[] {
  const project = `src/${row.layer}/tsconfig.json`;
  const references = referencesOf(repository, project);
  const imports = references.length === 0 ? "nothing" : references.join(", ");
  if (row.imports === imports) return [];
  const fix = `the table says "${row.imports}" and ${project} says "${imports}": make them equal`;
  return [{ rule: RULE, path: DOCUMENT, line: row.line, fix }];
}

function checkFolder(repository: Repository, layer: string, rows: readonly Row[]): Finding[] {
  const findings: Finding[] = [];
  const add = (path: string, fix: string): void => {
    findings.push({ rule: RULE, path, line: 1, fix });
  };
  if (!rows.some((row) => row.layer === layer)) {
    add(`src/${layer}`, `add a row for \`src/${layer}\` to the table in ${DOCUMENT}`);
  }
  for (const project of ["tsconfig.json", "src/tests.tsconfig.json"]) {
    if (!referencesOf(repository, project).includes(layer)) add(project, `add a reference to src/${layer}`);
  }
  return findings;
}

/** Checks that table, folders and project references say the same. */
export const checkLayers: Rule = (repository) => {
  const rows = rowsOf(fileAt(repository, DOCUMENT));
  const folders = repository.folders("src");
  const gone = rows.filter((row) => !folders.includes(row.layer));
  return [
    ...folders.flatMap((layer) => checkFolder(repository, layer, rows)),
    ...gone.map((row) => ({
      rule: RULE,
      path: DOCUMENT,
      line: row.line,
      fix: `there is no folder src/${row.layer}: take the row out`,
    })),
    ...rows.filter((row) => folders.includes(row.layer)).flatMap((row) => checkRow(repository, row)),
  ];
};
