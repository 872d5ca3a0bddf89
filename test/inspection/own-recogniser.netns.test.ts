/** Recognisers of one's own in the running firewall: a good one, and those that mean harm. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HOST_PAIR, type Namespace, POSTERN, type RunningProgram, startFirewall } from "#lab";
import { netnsTest } from "#testing";

const EXAMPLE = fileURLToPath(new URL("../../../examples/own-recogniser/policy.json", import.meta.url));
const PORT = 7070;

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "postern-own-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Serves a repository with one commit by git's own server. */
async function serveGit(host: Namespace, folder: string): Promise<RunningProgram> {
  const repository = join(folder, "project.git");
  const author = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
  await host.must(["git", "init", "--quiet", repository]);
  const commit = ["commit", "--quiet", "--allow-empty", "-m", "first"];
  await host.must(["git", "-C", repository, ...author, ...commit]);
  const server = host.start([
    "git",
    "daemon",
    "--reuseaddr",
    "--export-all",
    "--verbose",
    `--port=${PORT}`,
    `--base-path=${folder}`,
    folder,
  ]);
  await server.waitForLine(/Ready to rumble/);
  return server;
}

async function listRemote(
  client: Namespace,
  host: string,
): Promise<{ status: number | null; output: string }> {
  return client.run(["git", "ls-remote", `git://${host}:${PORT}/project.git`]);
}

netnsTest(
  "git's own protocol is refused on any port by the example's recogniser",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall: host } = hosts;
    await inFolder(async (folder) => {
      await serveGit(host, folder);
      assert.match((await listRemote(client, host.ipv4)).output, /HEAD/, "without the firewall");
      const firewall = await startFirewall(host, { policy: EXAMPLE });
      const refused = await listRemote(client, host.ipv4);
      assert.notEqual(refused.status, 0);
      assert.match(refused.output, /reset by peer/i);
      await firewall.stop();
      assert.match(firewall.program.output, /REJECT .* TCP from \d+ to 7070, INPUT rule 1/);
    });
  },
  ["git"],
);

netnsTest(
  "states name a protocol of one's own, and its server",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await inFolder(async (folder) => {
      const module = `
      import { CONFIDENCE, DONE, NO_MATCH } from "${new URL("../../policy/index.js", import.meta.url).href}";
      export default (registry) => registry.registerRecogniser({
        protocol: "Hello", transports: ["TCP"], encrypted: false,
        judge(evidence) {
          if (!evidence.bytes.couldBe("HELLO ")) return NO_MATCH;
          if (evidence.bytes.length < 6) return 6;
          evidence.match(CONFIDENCE.CERTAIN).serverName = "greeted.example.org";
          return DONE;
        },
      });`;
      writeFileSync(join(folder, "hello.js"), module);
      const policy = {
        settings: { compatibility: "strict", modules: [join(folder, "hello.js")] },
        INPUT: [{ name: "ProtocolRule", protocols: ["hello"], action: "ACCEPT" }],
      };
      const firewall = await startFirewall(host, { policy });
      await host.traffic.listenTcp({ port: PORT });
      const talk = await client.traffic.openTcp({ address: host.ipv4, port: PORT });
      assert.match(await talk.exchange("HELLO you", 10_000), /HELLO you/);
      const list = [process.execPath, POSTERN, "states", "list", "--json", "--socket", firewall.socket];
      const states = await host.must(list);
      assert.match(states, /"Hello"/);
      assert.match(states, /"greeted\.example\.org"/);
      await talk.close();
      await firewall.stop();
    });
  },
);

const HARMFUL = {
  "throws at every flow": 'throw new Error("no luck")',
  "never knows": "return evidence.bytes.length + 1",
  "answers with a promise": "return Promise.resolve(0)",
  "hands over where nothing is": 'evidence.match(3); return evidence.handOver("becomes", 1e9, -1)',
} as const;

netnsTest("recognisers that fail or never decide change nothing for others", HOST_PAIR, async (hosts) => {
  const { client, firewall: host } = hosts;
  await inFolder(async (folder) => {
    const modules = Object.values(HARMFUL).map((body, index) => {
      const file = join(folder, `harmful-${index}.js`);
      const recogniser = `{ protocol: "Bad${index}", transports: ["TCP"], encrypted: false, judge(evidence) { ${body}; } }`;
      writeFileSync(file, `export default (registry) => registry.registerRecogniser(${recogniser});`);
      return file;
    });
    const policy = {
      settings: { compatibility: "strict", modules },
      INPUT: [
        { name: "ProtocolRule", protocols: ["HTTP"], action: "REJECT" },
        { name: "ProtocolRule", protocols: ["Bad0", "Bad1", "Bad2", "Bad3"], action: "DROP" },
      ],
    };
    const firewall = await startFirewall(host, { policy });
    await host.traffic.listenTcp({ port: PORT });
    const exchange = async (words: string): Promise<string> => {
      const talk = await client.traffic.openTcp({ address: host.ipv4, port: PORT });
      const answer = await talk.exchange(words, 10_000);
      await talk.close();
      return answer;
    };
    for (let flow = 0; flow < 3; flow += 1) assert.match(await exchange("plain words"), /plain words/);
    assert.doesNotMatch(await exchange("GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n"), /GET/);
    await firewall.stop();
    assert.match(firewall.program.output, /\[ERROR\] the recogniser of Bad0 failed: no luck/);
    assert.match(firewall.program.output, /\[ERROR\] the recogniser of Bad2 failed: judge must return/);
    assert.match(firewall.program.output, /\[ERROR\] the recogniser of Bad3 failed: what follows begins/);
    assert.doesNotMatch(firewall.program.output, /Bad1|died|hangs/);
  });
});
