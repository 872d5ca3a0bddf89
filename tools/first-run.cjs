/**
 * Makes sure of everything that a command of this repository needs, then runs the command.
 *
 * `npm test` and `npm run demo` work straight after `git clone` on a fresh Debian machine. This file looks,
 * in this order, at Node, the user, the kernel, the Debian packages, `node_modules` and the compiled code. It
 * installs and builds only what is missing or stale, says so, and is silent when there is nothing to do. What
 * it cannot mend (Node too old, no root, a kernel without NFQUEUE) it says in one sentence, with exit status
 * 3.
 *
 * It runs before anything is installed and on any Node, however old: no dependencies, CommonJS, and only
 * syntax that Node 6 knows.
 */
"use strict";

const childProcess = require("child_process");
const fs = require("fs");
const os = require("os");
const path = require("path");
const zlib = require("zlib");

const ROOT = path.resolve(__dirname, "..");

/** Exit status for "the system refused", as in every `postern` command. */
const REFUSED = 3;

/** The oldest Node that runs Postern, as [major, minor]. */
const NODE_OLDEST = [20, 19];

/** Capabilities that network namespaces and packet queues need: name and bit in /proc/self/status. */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 };

/**
 * What comes from Debian: the package, a file or command that shows it is there, and what for; `only`
 * names the commands that need it. The check looks for the thing itself and not for the package, so that
 * any other way to install it is as good.
 */
const PACKAGES = [
  { name: "iproute2", command: "ip", why: "network namespaces and links" },
  { name: "nftables", command: "nft", why: "removing and listing rules" },
  { name: "libnftables1", library: "libnftables.so.1", why: "loading rules" },
  { name: "iptables", command: "iptables", why: "showing that its rules stay as they were" },
  { name: "conntrack", command: "conntrack", why: "comparing flows with the kernel's own" },
  { name: "iputils-ping", command: "ping", why: "ICMP traffic and round-trip times" },
  {
    name: "iperf3",
    command: "iperf3",
    why: "measuring the goodput of a stream",
    only: ["bench", "bench:peers"],
  },
  { name: "procps", command: "sysctl", why: "settings of network namespaces", only: ["test"] },
  { name: "openssl", command: "openssl", why: "certificates and TLS for tests", only: ["test"] },
  { name: "curl", command: "curl", why: "asking sockets as another user", only: ["test"] },
  { name: "ipset", command: "ipset", why: "pinholes with iptables", only: ["test"] },
  { name: "openssh-client", command: "ssh", why: "SSH for tests", only: ["test"] },
  { name: "openvpn", command: "openvpn", why: "tunnels for tests", only: ["test"] },
  { name: "netcat-openbsd", command: "nc", why: "bytes of any kind over TCP, for tests", only: ["test"] },
  { name: "bzip2", command: "bzip2", why: "compressed bytes for tests", only: ["test"] },
  { name: "xz-utils", command: "xz", why: "compressed bytes for tests", only: ["test"] },
  { name: "wrk", command: "wrk", why: "measuring connections and requests", only: ["bench:peers"] },
];

const COMMAND_FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const LIBRARY_FOLDERS = ["/usr/local/lib", "/usr/lib", "/usr/lib64", "/lib", "/lib64"];

/** What each word after `tools/run` needs and does. `kernel`: "must" have it, "may" use it. */
const COMMANDS = {
  test: { kernel: "may", run: [["dist/tools/run-tests.js"]] },
  demo: { kernel: "must", run: [["dist/cli/main.js", "demo"]] },
  bench: { kernel: "must", run: [["bench/queue.mjs"]] },
  "bench:peers": { kernel: "must", run: [["bench/peers.mjs"]] },
  // Everything but the compiled code, which `npm run check` makes from clean.
  prepare: { kernel: "may", run: [], unbuilt: true },
};

function say(sentence) {
  process.stderr.write(sentence + "\n");
}

function refuse(sentence) {
  say(sentence);
  process.exit(REFUSED);
}

function exists(file) {
  try {
    fs.statSync(file);
    return true;
  } catch (_error) {
    return false;
  }
}

/** The file's text, or an empty text when it cannot be read. */
function textOf(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (_error) {
    return "";
  }
}

function namesIn(folder) {
  try {
    return fs.readdirSync(folder);
  } catch (_error) {
    return [];
  }
}

/** Runs a program with our output and without input; returns its exit status. */
function runProgram(program, words) {
  const result = childProcess.spawnSync(program, words, {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return result.error ? 127 : result.status === null ? 1 : result.status;
}

/** Runs a talkative program; its output is shown only when it fails. */
function runQuietly(program, words) {
  const result = childProcess.spawnSync(program, words, {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    env: Object.assign({}, process.env, { DEBIAN_FRONTEND: "noninteractive" }),
  });
  if (result.status === 0) return true;
  process.stderr.write((result.stdout || "") + (result.stderr || ""));
  return false;
}

function isRoot() {
  return typeof process.getuid === "function" && process.getuid() === 0;
}

function hasCapabilities() {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(textOf("/proc/self/status"));
  if (line === null) return true;
  // Only the low 32 bits are of interest, and a bit-wise operator sees no more.
  const bits = parseInt(line[1].slice(-8), 16);
  return Object.keys(CAPABILITIES).every((name) => ((bits >>> CAPABILITIES[name]) & 1) === 1);
}

function requireNode() {
  const have = process.versions.node.split(".").map(Number);
  const enough = have[0] > NODE_OLDEST[0] || (have[0] === NODE_OLDEST[0] && have[1] >= NODE_OLDEST[1]);
  if (enough) return;
  refuse(
    "Postern needs Node " +
      NODE_OLDEST.join(".") +
      " or later; this is Node " +
      process.versions.node +
      " (" +
      process.execPath +
      ").",
  );
}

function requireLinux() {
  if (process.platform !== "linux")
    refuse("Postern is a firewall for Linux; this is " + process.platform + ".");
}

function requireRoot(name) {
  if (!isRoot()) {
    refuse("`npm run " + name + "` makes network namespaces and needs root: `sudo npm run " + name + "`.");
  }
  if (!hasCapabilities()) {
    refuse(
      "Root lacks " +
        Object.keys(CAPABILITIES).join(" or ") +
        " here: run this on the host, or in a container started with --privileged.",
    );
  }
}

/** The kernel's build configuration, or an empty text when the machine does not show it. */
function kernelConfiguration() {
  try {
    return zlib.gunzipSync(fs.readFileSync("/proc/config.gz")).toString("utf8");
  } catch (_error) {
    return textOf("/boot/config-" + os.release());
  }
}

/** False only when the kernel is known to lack packet queues; a doubt is left to `postern doctor`. */
function kernelHasQueues() {
  if (exists("/proc/net/netfilter/nfnetlink_queue")) return true;
  if (runProgram("modprobe", ["-q", "nfnetlink_queue"]) === 0) return true;
  const option = /^(?:# )?CONFIG_NETFILTER_NETLINK_QUEUE[= ](.*)$/m.exec(kernelConfiguration());
  if (option !== null && option[1] !== "m") return option[1] === "y";
  // A module. In a container the list of modules is the host's and mostly not to be seen.
  const modules = textOf("/lib/modules/" + os.release() + "/modules.dep");
  return modules === "" || /\/nfnetlink_queue\.ko/.test(modules);
}

function requireQueues() {
  if (kernelHasQueues()) return;
  refuse(
    "This kernel (" +
      os.release() +
      ") has no NFQUEUE (CONFIG_NETFILTER_NETLINK_QUEUE): Postern cannot run on it.",
  );
}

function isInstalled(item) {
  if (item.command) return COMMAND_FOLDERS.some((folder) => exists(path.join(folder, item.command)));
  // Debian keeps libraries one folder down, named after the processor: /usr/lib/x86_64-linux-gnu.
  return LIBRARY_FOLDERS.some(
    (folder) =>
      exists(path.join(folder, item.library)) ||
      namesIn(folder).some(
        (name) => /-linux-gnu/.test(name) && exists(path.join(folder, name, item.library)),
      ),
  );
}

function hasPackageLists() {
  return namesIn("/var/lib/apt/lists").some((name) => /_Packages/.test(name));
}

function aptInstall(names) {
  const options = ["-q", "-y", "-o", "DPkg::Lock::Timeout=120"];
  return runQuietly("apt-get", options.concat(["install", "--no-install-recommends"], names));
}

function aptUpdate() {
  say("Fetching the lists of Debian packages (apt-get update)");
  return runQuietly("apt-get", ["-q", "update"]);
}

function ensurePackages(name) {
  const wanted = PACKAGES.filter((item) => item.only === undefined || item.only.indexOf(name) >= 0);
  const missing = wanted.filter((item) => !isInstalled(item));
  if (missing.length === 0) return;
  const names = missing.map((item) => item.name);
  if (!exists("/usr/bin/apt-get")) {
    refuse(
      "Please install " +
        names.join(", ") +
        ": they are missing, and there is no apt-get to install them with.",
    );
  }
  say("Installing Debian packages:");
  missing.forEach((item) => {
    say("  " + item.name + " (" + item.why + ")");
  });
  const fresh = !hasPackageLists() && aptUpdate();
  if (aptInstall(names)) return;
  // The lists may be older than the archive: a package they name can be gone.
  if (fresh || !aptUpdate() || !aptInstall(names)) {
    refuse("apt-get could not install " + names.join(", ") + ": see its message above.");
  }
}

function packagesIn(lockfile) {
  try {
    return JSON.parse(textOf(path.join(ROOT, lockfile))).packages || {};
  } catch (_error) {
    return {};
  }
}

/** True when node_modules holds what the lock file asks for; packages for other platforms may be absent. */
function modulesAreFresh() {
  const wanted = packagesIn("package-lock.json");
  const have = packagesIn("node_modules/.package-lock.json");
  return Object.keys(wanted).every((name) => {
    if (name === "") return true;
    if (have[name] === undefined) return wanted[name].optional === true;
    return have[name].version === wanted[name].version && have[name].integrity === wanted[name].integrity;
  });
}

/** Gives what root made in a user's clone to that user, so that a later run without root can change it. */
function giveToOwner(name) {
  const owner = fs.statSync(path.join(ROOT, "package.json"));
  if (!isRoot() || owner.uid === 0 || !exists(path.join(ROOT, name))) return;
  runProgram("chown", ["-R", owner.uid + ":" + owner.gid, name]);
}

function requireWritable(name) {
  const folder = path.join(ROOT, name);
  if (!exists(folder)) return;
  try {
    fs.accessSync(folder, fs.constants.W_OK);
  } catch (_error) {
    refuse(
      name +
        "/ belongs to another user, so it cannot be brought up to date: `sudo chown -R $USER " +
        name +
        "`.",
    );
  }
}

function ensureModules() {
  if (modulesAreFresh()) return;
  requireWritable("node_modules");
  say("Installing npm packages (npm ci)");
  const words = ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  const npm = process.env.npm_execpath || "";
  const status = /npm-cli\.c?js$/.test(npm)
    ? runProgram(process.execPath, [npm].concat(words))
    : runProgram("npm", words);
  if (status !== 0)
    refuse("npm could not install the packages that package-lock.json names: see its message above.");
  giveToOwner("node_modules");
}

function build() {
  requireWritable("dist");
  if (!exists(path.join(ROOT, "dist"))) say("Compiling (tsc -b)");
  const status = runProgram(process.execPath, [path.join("node_modules", "typescript", "bin", "tsc"), "-b"]);
  giveToOwner("dist");
  if (status !== 0) process.exit(1);
}

/** Runs the steps one after the other up to the first that fails, and ends with its exit status. */
function runSteps(steps) {
  if (steps.length === 0) return;
  const child = childProcess.spawn(process.execPath, steps[0], { cwd: ROOT, stdio: "inherit" });
  // A terminal sends Ctrl-C to the child as well, which then cleans up: wait for it. Other senders reach us
  // alone.
  const onSignal = (signal) => {
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  signals.forEach((signal) => process.on(signal, onSignal));
  child.on("error", (error) => refuse(error.message));
  child.on("exit", (status, signal) => {
    signals.forEach((name) => process.removeListener(name, onSignal));
    if (signal !== null) process.exit(128 + (os.constants.signals[signal] || 0));
    if (status !== 0) process.exit(status);
    runSteps(steps.slice(1));
  });
}

function main(name, words) {
  const command = COMMANDS[name];
  if (command === undefined) {
    say("Usage: sh tools/run " + Object.keys(COMMANDS).join("|") + " [ARGUMENT...]");
    process.exit(2);
  }
  requireNode();
  requireLinux();
  if (command.kernel === "must") requireRoot(name);
  if (isRoot() && hasCapabilities()) {
    requireQueues();
    ensurePackages(name);
  }
  ensureModules();
  if (!command.unbuilt) build();
  runSteps(command.run.map((step) => step.concat(words)));
}

main(process.argv[2], process.argv.slice(3));
