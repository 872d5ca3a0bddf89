import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { FirewallError, LIMITS } from "../../base/index.ts";
import { AgentDirectory } from "./agent-directory.ts";
import { parseAgentFile } from "./agent-file.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-agents-"));
after(() => rmSync(folder, { recursive: true }));

const GOOD = `{
  // Who may open what.
  "profiles": {
    "calls": { "internal": ["10.1.0.0/16"], "ports": [[10000, 20000]], "lifetimeMax": 3600 },
    "all": { "administrator": true },
  },
  "agents": {
    "sip": { "profile": "calls", "users": ["nobody"], "certificates": ["DNS:sip.example.net", "sha256:AB:CD"] },
    "noc": { "profile": "all", "groups": ["12345"] },
  },
  "limits": { "pinholes": 1000 },
  "hideForeign": true,
}`;

function write(text: string): string {
  const file = join(folder, "agents.json");
  writeFileSync(file, text);
  return file;
}

describe("the file of agents", () => {
  it("says who may open what, with comments and trailing commas", () => {
    const { agents, limits, hidesForeign } = parseAgentFile("f", GOOD);
    assert.deepEqual(
      agents.map(({ name, profile }) => [name, profile.lifetimeMax, profile.isAdministrator]),
      [
        ["sip", 3600, false],
        ["noc", 86_400, true],
      ],
    );
    assert.equal(limits.pinholes, 1000);
    assert.equal(limits.pinholeEvents, LIMITS.pinholeEvents.default);
    assert.equal(hidesForeign, true);
  });

  /** Text of a file, and what its refusal must speak of. */
  const faults: readonly (readonly [string, RegExp])[] = [
    ['{ "profiles": {', /line 1 is no JSON/],
    ["[]", /the file must be an object/],
    ['{ "profile": {} }', /profile is none of profiles, agents/],
    ['{ "profiles": { "a": { "right": [] } } }', /profiles\.a\.right is none of rights/],
    ['{ "profiles": { "a": { "rights": ["fly"] } } }', /profiles\.a\.rights must be a list of permit/],
    ['{ "profiles": { "a": { "ports": [[9, 8]] } } }', /profiles\.a\.ports must be a list of pairs/],
    [
      '{ "profiles": { "a": { "internal": ["10.1.0.0/33"] } } }',
      /"10\.1\.0\.0\/33" in internal is no network/,
    ],
    ['{ "profiles": { "a": { "limit": { "speed": 1 } } } }', /profiles\.a\.limit must be an object/],
    ['{ "agents": { "x": { "profile": "nix" } } }', /agents\.x\.profile must be the name of a profile/],
    ['{ "agents": { "x y": { "profile": "nix" } } }', /agents\.x y must have 1 to 255 printable/],
    ['{ "agents": { "x\\u0000y": { "profile": "nix" } } }', /agents\.x\0y must have 1 to 255 printable/],
    ['{ "translation": {} }', /translation\.outside is missing/],
    ['{ "translation": { "outside": { "addresses": [] } } }', /translation\.outside\.ports is missing/],
    ['{ "translation": { "outside": { "ports": [9, 8] } } }', /outside\.ports must be a pair/],
    ['{ "limits": { "flows": 3 } }', /limits\.flows is none of pinholes/],
    ['{ "limits": { "pinholes": 0 } }', /limits\.pinholes must be a number of entries from 1/],
  ];
  for (const [text, words] of faults) {
    it(`is refused with the place that is wrong: ${text}`, () => {
      assert.throws(
        () => parseAgentFile("f", text),
        (error: unknown) =>
          error instanceof FirewallError && error.code === "AGENTS_INVALID" && words.test(error.message),
      );
    });
  }
});

describe("the directory of agents", () => {
  it("knows users, groups and certificates, and root without being told", () => {
    const agents = new AgentDirectory({ file: write(GOOD) });
    const nameOf = (userId: number, ...groupIds: number[]): string | undefined =>
      agents.identify({ kind: "user", userId, groupIds })?.name;
    const certified = (...names: string[]): string | undefined =>
      agents.identify({ kind: "certificate", names })?.name;
    assert.equal(nameOf(65_534, 65_534), "sip");
    assert.equal(nameOf(4711, 1, 12_345), "noc");
    assert.equal(nameOf(4711, 1), undefined);
    assert.equal(nameOf(0), "root");
    assert.equal(certified("CN=else", "DNS:sip.example.net"), "sip");
    assert.equal(certified("sha256:abcd"), "sip");
    assert.equal(certified("CN=sip.example.net"), undefined);
  });

  it("lets the owner of the socket in, with the profile that the file gives him or the default one", () => {
    const owner = { name: "sipd", userId: 4711 };
    const alone = new AgentDirectory({ socketUser: owner });
    const identity = { kind: "user", userId: 4711, groupIds: [] } as const;
    assert.equal(alone.identify(identity)?.name, "sipd");
    assert.equal(alone.identify(identity)?.profile.isAdministrator, false);
    const file = write(
      '{ "profiles": { "p": {} }, "agents": { "calls": { "profile": "p", "users": ["4711"] } } }',
    );
    assert.equal(new AgentDirectory({ file, socketUser: owner }).identify(identity)?.name, "calls");
  });

  it("refuses two agents with one user, and users that do not exist", () => {
    const two = '{ "profiles": { "p": {} }, "agents": { "a": { "profile": "p", "users": ["1"] }, ';
    assert.throws(
      () => new AgentDirectory({ file: write(`${two} "b": { "profile": "p", "users": ["1"] } } }`) }),
      /1 belongs to the agents a and b/,
    );
    assert.throws(
      () => new AgentDirectory({ file: write(`${two} "b": { "profile": "p", "users": ["no-such"] } } }`) }),
      /there is no user "no-such"/,
    );
  });

  it("reads its file anew, and keeps what it has when the file is wrong", () => {
    const agents = new AgentDirectory({ file: write(GOOD) });
    const identity = { kind: "certificate", names: ["DNS:sip.example.net"] } as const;
    write("{ nonsense");
    assert.throws(() => agents.reload(), FirewallError);
    assert.equal(agents.identify(identity)?.name, "sip");
    write("{}");
    agents.reload();
    assert.equal(agents.identify(identity), undefined);
  });
});
