// Writes what evaluate.mjs measured into docs/CLASSIFIER.md: node tools/classifier/tables.mjs REPORT.json
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const DOCUMENT = join(dirname(fileURLToPath(import.meta.url)), "../../docs/CLASSIFIER.md");
const BEGIN = "<!-- measured: written by tools/classifier/tables.mjs -->";
const END = "<!-- end of measured -->";
const NAMES = {
  classifier: "Classifier",
  network: "Histogram network",
  hedge: "HEDGE γ = 2.5",
  hedge2: "HEDGE γ = 2",
};

const percent = (share) => (100 * share).toFixed(1);
const table = (head, rows) =>
  [head, head.map(() => "---:"), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n")
    .replace("---:", "---");

function accuracies(sizes, which) {
  const rows = Object.keys(NAMES).map((method) => [
    NAMES[method],
    ...sizes.map(
      ([, size]) => `${percent(size[which][method].accuracy)} ± ${percent(size[which][method].error)}`,
    ),
  ]);
  return table(["Accuracy %", ...sizes.map(([bytes]) => bytes)], rows);
}

function recalls(sizes, method) {
  const kinds = Object.keys(sizes[0][1].kinds);
  const cell = (size, kind) => (size.kinds[kind] === undefined ? "–" : percent(size.kinds[kind][method]));
  const rows = kinds.map((kind) => [kind, ...sizes.map(([, size]) => cell(size, kind))]);
  return table(["Right %", ...sizes.map(([bytes]) => bytes)], rows);
}

function verdicts(sizes) {
  const rows = sizes.map(([bytes, size]) => {
    const entries = Object.entries(size.kinds);
    const framings = ["tls", "tls-nonce", "ssh", "openvpn"];
    const packed = entries
      .filter(([kind]) => kind !== "encrypted" && !framings.includes(kind))
      .map(([, entry]) => entry);
    const mean = (list, of) => list.reduce((sum, entry) => sum + of(entry) / entry.count, 0) / list.length;
    const encrypted = [size.kinds.encrypted];
    const undecided = (entry) => entry.verdicts.undecided;
    const wrong = mean(packed, (entry) => entry.verdicts.encrypted);
    const missed = mean(encrypted, (entry) => entry.verdicts.compressed + entry.verdicts.plain);
    return [
      bytes,
      percent(mean(encrypted, undecided)),
      percent(missed),
      percent(mean(packed, undecided)),
      percent(wrong),
    ];
  });
  const head = [
    "Bytes",
    "encrypted: undecided %",
    "encrypted: called otherwise %",
    "not: undecided %",
    "not: called encrypted %",
  ];
  return table(head, rows);
}

function curve(sizes) {
  const rows = sizes.map(([bytes, size]) => [
    bytes,
    ...size.curve.map(({ share, said, was }) => (share < 0.001 ? "–" : `${percent(said)} → ${percent(was)}`)),
  ]);
  return table(["Bytes", ...Array.from({ length: 10 }, (_, i) => `${i * 10}–${i * 10 + 10} %`)], rows);
}

function flows(report) {
  const looks = Object.keys(Object.values(Object.values(report.flows)[0])[0].looks);
  const rows = [];
  for (const [budget, formats] of Object.entries(report.flows)) {
    const others = Object.entries(formats).filter(([format]) => format !== "encrypted");
    const rate = (entry, look) => entry.looks[look].encrypted / Math.max(1, entry.looks[look].flows);
    rows.push([
      `${budget}: encrypted flows found`,
      ...looks.map((look) => percent(rate(formats.encrypted, look))),
    ]);
    const false_ = (look) => {
      const seen = others.filter(([, entry]) => entry.looks[look].flows > 0);
      return seen.reduce((sum, [, entry]) => sum + rate(entry, look), 0) / seen.length;
    };
    rows.push([
      `${budget}: other flows called encrypted`,
      ...looks.map((look) => `${(100 * false_(look)).toFixed(2)}`),
    ]);
    const worst = others
      .filter(([, entry]) => entry.ever > 0)
      .map(([format, entry]) => `${format} ${entry.ever}/${entry.flows}`);
    rows.push([`${budget}: which`, worst.join(", ") || "none", ...looks.slice(1).map(() => "")]);
  }
  return table(["Budget, % up to … bytes", ...looks], rows);
}

function main(path) {
  const report = JSON.parse(readFileSync(path, "utf8"));
  const sizes = Object.entries(report.sizes);
  const text = [
    BEGIN,
    "",
    `Fragments of the test split: ${report.perFormat} for each format and size, ${6 * report.perFormat} of ciphertext.`,
    "",
    "### Accuracy over all formats",
    accuracies(sizes, "overall"),
    "### Accuracy without xz, 7z and LZMA",
    accuracies(sizes, "visible"),
    "### The classifier by format",
    recalls(sizes, "classifier"),
    "### HEDGE (γ = 2.5) by format",
    recalls(sizes, "hedge"),
    "### The histogram network by format",
    recalls(sizes, "network"),
    "### Three answers",
    verdicts(sizes),
    "### Calibration: probability said → share that was encrypted",
    curve(sizes),
    "### False-positive budget, flows seen from their beginning",
    flows(report),
    END,
  ].map((part) => (part.startsWith("|") ? `\n${part}\n` : part));
  const document = readFileSync(DOCUMENT, "utf8");
  const before = document.slice(0, document.indexOf(BEGIN));
  const after = document.slice(document.indexOf(END) + END.length);
  writeFileSync(DOCUMENT, `${before}${text.join("\n")}${after}`);
}

main(process.argv[2]);
