/** Three ways of putting calls into the packet filter of a gateway: Postern's daemon, and two of today. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { connectPinholes } from "../../dist/client/index.js";
import { POSTERN, posternInterpreter } from "../../dist/lab/index.js";
import { processorMs } from "../measure.mjs";
import { PINHOLES_PER_CALL, ports } from "./layout.mjs";

const READY_PATIENCE_MS = 60_000;
/** Calls in one commit while those of the beginning are loaded. */
const LOAD_AT_ONCE = 500;
const LEASE_SECONDS = 3600;

function nth() {
  return Array.from({ length: PINHOLES_PER_CALL }, (_, at) => at);
}

/** `postern pinhold`, asked over its socket by the typed client. */
export class PinholdFilter {
  name = "postern";
  title = "`postern pinhold`";
  #site;
  #program;
  #pinholes;

  constructor(site) {
    this.#site = site;
  }

  async start() {
    const { firewall, folder } = this.#site;
    const socket = join(folder, "pinhold");
    const hooks = ["--hooks", "forward", "--otherwise", "drop", "--table", "calls"];
    const words = ["-s", socket, "-u", "root", "-c", "pinholes", "--state", join(folder, "state"), ...hooks];
    const [program, argument] = posternInterpreter();
    const command = [program, [argument, ...this.#profiling()].join(" "), POSTERN, "pinhold"];
    this.#program = firewall.start([...command, ...words]);
    await this.#program.waitForLine(/\bready\b/, READY_PATIENCE_MS);
    this.#pinholes = connectPinholes({ socket });
  }

  #stage(change, call) {
    const { client, server } = this.#site;
    for (const at of nth()) {
      const { internal, external } = ports(call, at);
      const spec = {
        internal: `${client.ipv4}:${internal}`,
        external: `${server.ipv4}:${external}`,
        protocol: "udp",
        direction: at % 2 === 0 ? "out" : "in",
        lifetime: LEASE_SECONDS,
      };
      change.open(spec, `c${call}:${at}`);
    }
  }

  /** While the daemon carries one commit out, the next is made ready and sent. */
  async load(calls) {
    let before = Promise.resolve();
    for (let call = 0; call < calls; ) {
      const change = this.#pinholes.begin();
      const end = Math.min(calls, call + LOAD_AT_ONCE);
      for (; call < end; call += 1) this.#stage(change, call);
      const commit = change.commit();
      await before;
      before = commit;
    }
    await before;
  }

  open(call) {
    const change = this.#pinholes.begin();
    this.#stage(change, call);
    return change.commit();
  }

  close(call) {
    const change = this.#pinholes.begin();
    for (const at of nth()) change.close(`c${call}:${at}`);
    return change.commit();
  }

  /** Opens a pinhole to a port of the server from wherever in the client's network. */
  openWide(port) {
    const { client, server } = this.#site;
    const external = `${server.ipv4}:${port}`;
    const change = this.#pinholes.begin();
    const spec = { internal: `${client.ipv4}/24`, external, protocol: "udp", lifetime: LEASE_SECONDS };
    change.open(spec, `w${port}`);
    return change.commit();
  }

  /** Has the filter read and put right: `POST /v1/audit`. */
  async audit() {
    const socketPath = join(this.#site.folder, "pinhold");
    const asking = request({ socketPath, path: "/v1/audit", method: "POST" }).end();
    const [answer] = await once(asking, "response");
    return json(answer);
  }

  closeWide(port) {
    const change = this.#pinholes.begin();
    change.close(`w${port}`);
    return change.commit();
  }

  /**
   * Ends the daemon as a crash would; {@link PinholdFilter.start} starts another on the same journal. One
   * that is profiled has the time to write down what it did.
   */
  async crash() {
    this.#pinholes.end();
    await this.#program.stop(this.#site.profile === undefined ? "SIGKILL" : "SIGTERM");
  }

  #profiling() {
    const { profile } = this.#site;
    return profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
  }

  /** Calls that may be changed at the same time. */
  atOnce = 32;

  processorMs() {
    return processorMs(this.#program.pid);
  }

  async stop() {
    this.#pinholes?.end();
    await this.#program?.stop("SIGTERM");
    await this.#site.firewall.run(["nft", "delete", "table", "inet", "calls"]);
  }
}

/** Runs a program in the gateway's namespace with a text as its input. */
function feed(firewall, command, text) {
  return new Promise((resolve, reject) => {
    const child = spawn("ip", ["netns", "exec", firewall.fullName, ...command], {
      stdio: ["pipe", "ignore", "inherit"],
    });
    child.once("error", reject);
    child.once("exit", (status) =>
      status === 0 ? resolve() : reject(new Error(`${command[0]}: ${status}`)),
    );
    child.stdin.end(text);
  });
}

/** One `nft` process for each change, on a set. */
export class NftProcessFilter {
  name = "nft";
  title = "one `nft` process a change";
  atOnce = 1;
  #site;

  constructor(site) {
    this.#site = site;
  }

  start() {
    const text = `table inet calls {
	set media { type ipv4_addr . inet_service . ipv4_addr . inet_service; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		ip saddr . udp sport . ip daddr . udp dport @media accept
	}
}
`;
    return feed(this.#site.firewall, ["nft", "-f", "-"], text);
  }

  #elements(call) {
    const { client, server } = this.#site;
    return nth()
      .map((at) => {
        const { internal, external } = ports(call, at);
        const near = `${client.ipv4} . ${internal}`;
        const far = `${server.ipv4} . ${external}`;
        return at % 2 === 0 ? `${near} . ${far}` : `${far} . ${near}`;
      })
      .join(", ");
  }

  #change(verb, calls) {
    const lines = calls.map((call) => `${verb} element inet calls media { ${this.#elements(call)} }`);
    return feed(this.#site.firewall, ["nft", "-f", "-"], `${lines.join("\n")}\n`);
  }

  load(calls) {
    return this.#change(
      "add",
      Array.from({ length: calls }, (_, call) => call),
    );
  }

  open(call) {
    return this.#change("add", [call]);
  }

  close(call) {
    return this.#change("delete", [call]);
  }

  processorMs() {
    return processorMs(process.pid, "children");
  }

  stop() {
    return feed(this.#site.firewall, ["nft", "delete", "table", "inet", "calls"], "");
  }
}

/** The method of 2007: the whole rule set, made anew and loaded by iptables-restore at each change. */
export class IptablesFilter {
  name = "iptables";
  title = "whole rule set by `iptables-restore`";
  atOnce = 1;
  #site;
  #calls = new Map();

  constructor(site) {
    this.#site = site;
  }

  start() {
    return this.#restore();
  }

  #rules(call) {
    const { client, server } = this.#site;
    return nth().map((at) => {
      const { internal, external } = ports(call, at);
      const near = `-s ${client.ipv4} -d ${server.ipv4} -p udp -m udp --sport ${internal} --dport ${external}`;
      const far = `-s ${server.ipv4} -d ${client.ipv4} -p udp -m udp --sport ${external} --dport ${internal}`;
      return `-A FORWARD ${at % 2 === 0 ? near : far} -j ACCEPT`;
    });
  }

  #restore() {
    const lines = [...this.#calls.values()].flat();
    const text = `*filter\n:FORWARD DROP [0:0]\n${lines.join("\n")}\nCOMMIT\n`;
    return feed(this.#site.firewall, ["iptables-restore"], text);
  }

  load(calls) {
    for (let call = 0; call < calls; call += 1) this.#calls.set(call, this.#rules(call));
    return this.#restore();
  }

  open(call) {
    this.#calls.set(call, this.#rules(call));
    return this.#restore();
  }

  close(call) {
    this.#calls.delete(call);
    return this.#restore();
  }

  processorMs() {
    return processorMs(process.pid, "children");
  }

  stop() {
    return feed(this.#site.firewall, ["nft", "flush", "ruleset"], "");
  }
}
