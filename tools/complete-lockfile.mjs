/**
 * Adds to package-lock.json the optional packages of foreign platforms that the registry did not deliver.
 *
 * A registry mirror may lack packages nobody here can run (Android, Windows, macOS). `npm install` then
 * leaves them out of the lock file without a word, and `npm ci` refuses the lock file on every machine. Their
 * entries need no more than a version and the platform they are for: npm reads the platform and never fetches
 * them.
 *
 * Run after `npm install`: `node tools/complete-lockfile.mjs`.
 */
import { readFileSync, writeFileSync } from "node:fs";

const LOCKFILE = new URL("../package-lock.json", import.meta.url);
const SYSTEMS = [
  "aix",
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32",
];
const PROCESSORS = {
  aarch64: "arm64",
  arm: "arm",
  arm64: "arm64",
  armhf: "arm",
  ia32: "ia32",
  loong64: "loong64",
  ppc64: "ppc64",
  riscv64: "riscv64",
  s390x: "s390x",
  wasm32: "wasm32",
  x64: "x64",
};

/** Reads the platform out of a name such as `@biomejs/cli-linux-x64-musl`. */
function platformOf(name) {
  const words = name.split("/").pop().split("-");
  const system = words.find((word) => SYSTEMS.includes(word));
  const processor = words.map((word) => PROCESSORS[word]).find((word) => word !== undefined);
  return {
    ...(processor === undefined ? {} : { cpu: [processor] }),
    ...(system === undefined ? {} : { os: [system] }),
    ...(words.includes("musl") ? { libc: ["musl"] } : {}),
  };
}

/** Finds the optional packages that no entry of the lock file stands for. */
function missingEntries(packages) {
  const missing = {};
  for (const [path, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (packages[`${path}/node_modules/${name}`] ?? packages[`node_modules/${name}`]) continue;
      const platform = platformOf(name);
      if (platform.cpu === undefined) throw new Error(`cannot tell the platform of ${name}`);
      missing[`node_modules/${name}`] = {
        version,
        ...platform,
        ...(entry.dev ? { dev: true } : {}),
        optional: true,
      };
    }
  }
  return missing;
}

const lockfile = JSON.parse(readFileSync(LOCKFILE, "utf8"));
const missing = missingEntries(lockfile.packages);
lockfile.packages = Object.fromEntries(
  Object.entries({ ...lockfile.packages, ...missing }).sort(([a], [b]) => (a < b ? -1 : 1)),
);
writeFileSync(LOCKFILE, `${JSON.stringify(lockfile, null, 2)}\n`);
process.stdout.write(`package-lock.json: ${Object.keys(missing).length} entries added\n`);
