// Fetches the Debian packages of sources.json at their pinned versions and unpacks them beside each other.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { sha256 } from "./seeded.mjs";

/** Debian packages whose programs encode the dataset. */
export const TOOL_PACKAGES = [
  "brotli",
  "bzip2",
  "ffmpeg",
  "gzip",
  "imagemagick",
  "lz4",
  "p7zip-full",
  "webp",
  "xz-utils",
  "zip",
  "zstd",
];

/** Runs a program to its end; throws with its own words when it fails. */
export function run(program, args, options = {}) {
  const result = spawnSync(program, args, { maxBuffer: 1 << 28, ...options });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0) throw new Error(`${program} ${args.join(" ")}: ${String(result.stderr)}`);
  return result.stdout;
}

/** Installs what is missing of {@link TOOL_PACKAGES} and reports the versions in use. */
export function installTools() {
  const versions = toolVersions();
  const missing = TOOL_PACKAGES.filter((name) => versions[name] === undefined);
  if (missing.length === 0) return versions;
  run("apt-get", ["install", "-y", "--no-install-recommends", ...missing]);
  return toolVersions();
}

function toolVersions() {
  const format = "-f=${binary:Package} ${Version} ${db:Status-Status}\n";
  const result = spawnSync("dpkg-query", ["-W", format, ...TOOL_PACKAGES], { encoding: "utf8" });
  const versions = {};
  for (const line of result.stdout.split("\n")) {
    const [name, version, status] = line.split(" ");
    if (status === "installed") versions[name.split(":")[0]] = version;
  }
  return versions;
}

/** Downloads and unpacks one package. @returns the folder that holds its files */
export function unpackSource(source, folder) {
  const target = join(folder, "unpacked", source.package);
  if (existsSync(target)) return target;
  const archive = fetchArchive(source, join(folder, "archives"));
  mkdirSync(`${target}.part`, { recursive: true });
  run("dpkg-deb", ["-x", archive, `${target}.part`]);
  renameSync(`${target}.part`, target);
  return target;
}

function fetchArchive(source, folder) {
  mkdirSync(folder, { recursive: true });
  const find = () => readdirSync(folder).find((name) => name.startsWith(`${source.package}_`));
  if (find() === undefined) {
    run("apt-get", ["download", `${source.package}=${source.version}`], { cwd: folder });
  }
  const archive = join(folder, find());
  const digest = sha256(readFileSync(archive));
  if (digest === source.sha256) return archive;
  throw new Error(`${archive}: SHA-256 is ${digest}, sources.json wants ${source.sha256}`);
}
