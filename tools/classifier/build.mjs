// Builds the dataset: node tools/classifier/build.mjs FOLDER [--manifest]
//
// FOLDER receives archives/, unpacked/ and, for each split, one file per format that holds the encoded
// streams one behind the other, and index.json that tells where each begins. With --manifest the hashes are
// written to tools/classifier/manifest.json; without, they are compared with it and differences are named.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildDataset } from "./dataset.mjs";
import { installTools, unpackSource } from "./packages.mjs";
import { say } from "./say.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));

function compareWith(manifestPath, manifest) {
  const wanted = JSON.parse(readFileSync(manifestPath, "utf8"));
  let differences = 0;
  for (const [split, formats] of Object.entries(wanted.splits)) {
    for (const [format, entry] of Object.entries(formats)) {
      const actual = manifest.splits[split][format];
      if (actual?.sha256 === entry.sha256) continue;
      differences++;
      say(`${split}/${format}: ${actual?.sha256} instead of ${entry.sha256}`);
    }
  }
  say(differences === 0 ? "dataset equals manifest.json" : `${differences} files differ from manifest.json`);
  return differences === 0;
}

function main(folder, writeManifest) {
  const tools = installTools();
  const sources = JSON.parse(readFileSync(join(HERE, "sources.json"), "utf8"));
  const locate = (source) => {
    say(new Date().toISOString(), source.package);
    return unpackSource(source, folder);
  };
  const manifest = { tools, splits: buildDataset(sources, folder, { locate }) };
  const manifestPath = join(HERE, "manifest.json");
  if (writeManifest || !existsSync(manifestPath)) {
    writeFileSync(manifestPath, `${JSON.stringify(manifest, undefined, 2)}\n`);
    return true;
  }
  return compareWith(manifestPath, manifest);
}

const [folder, option] = process.argv.slice(2);
if (folder === undefined) {
  say("usage: node tools/classifier/build.mjs FOLDER [--manifest]");
  process.exitCode = 2;
} else if (!main(folder, option === "--manifest")) process.exitCode = 1;
