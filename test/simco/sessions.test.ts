/** Statements S: how sessions are opened, proven and ended. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { connect, type SecureVersion } from "node:tls";
import { setTimeout as delay } from "node:timers/promises";
import { Prefix } from "#base";
import { isProof, type MessageOf, ROLE } from "#simco";
import { CertificateAuthority, octetsOf, vector, VECTOR_MESSAGES } from "#testing";
import { begin, list, permit, tid } from "./requests.ts";
import { AgentWire, BOX_NAME, KEY, mac, SimcoRig, tokenFor } from "./rig.ts";

const CHALLENGE = octetsOf("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
const NOTHING = new Uint8Array(0);

const folder = mkdtempSync(join(tmpdir(), "postern-simco-"));
const authority = new CertificateAuthority(folder, "authority");

/** A certificate for a name, with its key, PEM. */
function issue(name: string, by = authority): { readonly cert: Buffer; readonly key: Buffer } {
  const { cert, key } = by.issue({ commonName: name, alternativeNames: `DNS:${name}` });
  return { cert: readFileSync(cert), key: readFileSync(key) };
}

const material = { ...issue("fw1.example"), ca: authority.cert };
const agentCredentials = issue("agent-1.example");
const strangerCredentials = issue("stranger.example");

let rig: SimcoRig;
/** Lets agents of this machine in without proof, and others with certificates. */
let trusting: SimcoRig;

const certificates = { "agent-1": ["DNS:agent-1.example"] };

before(async () => {
  rig = await SimcoRig.open({ certificates });
  trusting = await SimcoRig.open({ certificates, place: { localAgent: "agent-1", material } });
});
after(async () => {
  await rig.close();
  await trusting.close();
  rmSync(folder, { recursive: true });
});

/** What SA replies carry, by name. */
async function challenged(
  wire: AgentWire,
  changes: Partial<MessageOf<"SE">> = {},
): Promise<MessageOf<"SA_REPLY">> {
  return wire.must("SA_REPLY", begin(changes));
}

/** A TLS connection; undefined when the handshake fails. */
function secured(
  port: number,
  options: Partial<typeof agentCredentials> & { readonly version?: SecureVersion } = {},
): Promise<AgentWire | undefined> {
  const { version, ...credentials } = options;
  return new Promise((resolve) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      ca: authority.cert,
      checkServerIdentity: () => undefined,
      ...credentials,
      ...(version === undefined
        ? {}
        : { minVersion: version, maxVersion: version, ciphers: "DEFAULT@SECLEVEL=0" }),
    });
    socket.once("secureConnect", () => resolve(new AgentWire(socket)));
    socket.once("error", () => resolve(undefined));
  });
}

describe("opening a session", () => {
  it("S-01 SE on a trusted connection opens the session", async () => {
    const wire = await trusting.connect();
    wire.send(vector("V01"));
    const reply = await wire.next();
    assert.ok(reply?.name === "SE_REPLY");
    assert.equal(reply.tid, 1);
    assert.equal((await wire.ask(list()))?.name, "PRL_REPLY");
  });

  it("S-02 SE with a challenge is answered with SA, and nothing else goes on before it", async () => {
    const wire = await trusting.connect();
    wire.send(vector("V04"));
    assert.equal((await wire.next())?.name, "SA_REPLY");
    assert.equal(await wire.refusal(begin()), 0x0320);
  });

  it("S-03 a server that wants proof answers SE with a challenge", async () => {
    const { challenge, token } = await challenged(await rig.connect());
    assert.equal(challenge?.length, 16);
    assert.equal(token, undefined);
  });

  it("S-04 challenge and token come in this order when both sides want proof", async () => {
    const wire = await rig.connect();
    wire.send(vector("V04"));
    assert.match(await wire.nextHex(), /^0202003d0000000200020010[0-9a-f]{32}0003002501036677/);
  });

  it("S-05 an agent that TLS has proven, and that wants proof, goes on with an empty SA", async () => {
    const wire = await secured(trusting.port, agentCredentials);
    assert.ok(wire !== undefined);
    const { challenge, token } = await challenged(wire, { challenge: CHALLENGE });
    assert.equal(challenge, undefined);
    assert.ok((token?.length ?? 0) > 0);
    assert.equal((await wire.ask({ name: "SA", tid: tid() }))?.name, "SE_REPLY");
    wire.close();
  });

  it("S-06 a server without a key answers a challenge with an empty token", async () => {
    const keyless = await SimcoRig.open({ keyless: true });
    const { token } = await challenged(await keyless.connect(), { challenge: CHALLENGE });
    assert.equal(token?.length, 0);
    await keyless.close();
  });

  it("S-07 a right SA is answered with SE: its own identifier, and capabilities", async () => {
    const wire = await rig.connect();
    const asked = await challenged(wire);
    const reply = await wire.must("SE_REPLY", { name: "SA", tid: 77, token: tokenFor("agent-1", asked) });
    assert.equal(reply.tid, 77);
    assert.ok(reply.capabilities.isFilter);
  });

  it("S-31 what is announced is what the middlebox is", async () => {
    for (const disables of [true, false]) {
      const own = await SimcoRig.open({
        place: { localAgent: "agent-1", capabilities: { disables, lifetimeMax: 3600 } },
      });
      const wire = await own.connect();
      const { capabilities } = await wire.must("SE_REPLY", begin());
      assert.equal(capabilities.disables, disables);
      assert.equal(capabilities.lifetimeMax, 3600);
      assert.equal(capabilities.translates, false);
      const request = {
        name: "PDR",
        tid: tid(),
        internal: permit().internal,
        external: permit().external,
        lifetime: 9,
      };
      const reply = await wire.ask(request as MessageOf<"PDR">);
      assert.equal(reply?.name, disables ? "PDR_REPLY" : "NEGATIVE");
      await own.close();
    }
  });
});

describe("a session that is refused", () => {
  /** Says SE and then SA with a token, and tells how it is refused and whether the connection ends. */
  async function proving(
    own: SimcoRig,
    token: (asked: MessageOf<"SA_REPLY">) => Uint8Array | undefined,
  ): Promise<number> {
    const wire = await own.connect();
    const asked = await challenged(wire);
    const made = token(asked);
    const code = await wire.refusal({
      name: "SA",
      tid: tid(),
      ...(made === undefined ? {} : { token: made }),
    });
    assert.ok(await wire.isClosed());
    return code;
  }

  it("S-08 a wrong token ends the connection", async () => {
    const own = await SimcoRig.open();
    const wrong = (asked: MessageOf<"SA_REPLY">): Uint8Array =>
      tokenFor("agent-1", asked).map((octet, at) => (at === 20 ? octet ^ 1 : octet));
    assert.equal(await proving(own, wrong), 0x0323);
    assert.equal(await proving(own, (asked) => tokenFor("nobody", asked)), 0x0323);
    // Three failures, and the address must wait, whatever it brings.
    assert.equal(await proving(own, () => octetsOf("ffff")), 0x0323);
    assert.equal(await (await own.connect()).refusal(begin()), 0x0321);
    own.advance(61);
    assert.equal((await (await own.connect()).ask(begin()))?.name, "SA_REPLY");
    await own.close();
  });

  it("S-09 a missing token ends the connection", async () => {
    const own = await SimcoRig.open();
    assert.equal(await proving(own, () => undefined), 0x0323);
    assert.equal(await proving(own, () => NOTHING), 0x0323);
    await own.close();
  });

  it("S-10 who is known and may not control the middlebox is told so", async () => {
    const wire = await secured(trusting.port, strangerCredentials);
    assert.ok(wire !== undefined);
    assert.equal(await wire.refusal(begin()), 0x0324);
    assert.ok(await wire.isClosed());
  });

  it("S-11 version 2.0 is refused with the version that is spoken here", async () => {
    const wire = await rig.connect();
    wire.send("01010008000000300001000402000000");
    assert.equal(await wire.nextHex(), "03220008000000300001000403000000");
    assert.ok(await wire.isClosed());
  });

  it("S-12 version 3.1 is refused with 3.0", async () => {
    const reply = await (await rig.connect()).ask(begin({ version: { major: 3, minor: 1 } }));
    assert.ok(reply?.name === "NEGATIVE");
    assert.deepEqual([reply.code, reply.version], [0x0322, { major: 3, minor: 0 }]);
  });

  it("S-13 SE in an open session is refused, and the session goes on", async () => {
    const wire = await rig.session();
    wire.send("010100080000002f0001000403000000");
    assert.equal(await wire.nextHex(), "032000000000002f");
    assert.equal((await wire.ask(list()))?.name, "PRL_REPLY");
  });

  it("S-14 SE between SE and SA is refused, and SA still goes on", async () => {
    const wire = await rig.connect();
    const asked = await challenged(wire);
    assert.equal(await wire.refusal(begin()), 0x0320);
    await wire.must("SE_REPLY", { name: "SA", tid: tid(), token: tokenFor("agent-1", asked) });
  });

  it("S-15 SA in an open session is refused", async () => {
    assert.equal(await (await rig.session()).refusal({ name: "SA", tid: tid() }), 0x0320);
  });

  it("S-16 SA before SE ends the connection", async () => {
    const wire = await rig.connect();
    assert.equal(await wire.refusal({ name: "SA", tid: tid() }), 0x0311);
    assert.ok(await wire.isClosed());
  });

  it("S-20 a permit before the proof is refused, ends the connection and leaves nothing", async () => {
    const wire = await rig.connect();
    await challenged(wire);
    assert.equal(await wire.refusal(permit()), 0x0311);
    assert.ok(await wire.isClosed());
    assert.deepEqual(rig.filter.keys, []);
  });

  it("S-21 a session beyond the limit is refused, and the others go on", async () => {
    const own = await SimcoRig.open({ limits: { simcoSessions: 1 } });
    const first = await own.session();
    const second = await own.connect();
    assert.equal(await second.refusal(begin()), 0x0321);
    assert.ok(await second.isClosed());
    assert.equal((await first.ask(list()))?.name, "PRL_REPLY");
    await own.close();
  });

  it("S-22 who comes from where nobody may come from is told so", async () => {
    const network = Prefix.parse("192.0.2.0/24");
    const own = await SimcoRig.open({ place: { sources: network === undefined ? [] : [network] } });
    const wire = await own.connect();
    assert.equal(await wire.refusal(begin()), 0x0325);
    assert.ok(await wire.isClosed());
    await own.close();
  });

  it("S-26 a token is good for one challenge only", async () => {
    const own = await SimcoRig.open();
    const first = await own.connect();
    const token = tokenFor("agent-1", await challenged(first));
    await first.must("SE_REPLY", { name: "SA", tid: tid(), token });
    assert.equal(await proving(own, () => token), 0x0323);
    await own.close();
  });

  it("S-27 the middlebox's own token proves nothing when it comes back", async () => {
    const own = await SimcoRig.open({ profiles: { [BOX_NAME]: {} } });
    const wire = await own.connect();
    const first = await challenged(await own.connect());
    const { token } = await challenged(wire, { challenge: first.challenge ?? NOTHING });
    assert.equal(await proving(own, () => token), 0x0323);
    await own.close();
  });

  it("S-28 the tokens of the vectors are proofs", () => {
    const { V04, V05, V06 } = VECTOR_MESSAGES;
    assert.ok(V04?.name === "SE" && V05?.name === "SA_REPLY" && V06?.name === "SA");
    const box = {
      role: ROLE.MIDDLEBOX,
      identity: "fw1",
      challenge: V04.challenge ?? NOTHING,
      binding: NOTHING,
    };
    assert.ok(isProof(V05.token ?? NOTHING, box, KEY, mac));
    const agent = {
      role: ROLE.AGENT,
      identity: "agent-1",
      challenge: V05.challenge ?? NOTHING,
      binding: NOTHING,
    };
    assert.ok(isProof(V06.token ?? NOTHING, agent, KEY, mac));
    assert.equal(isProof(V06.token ?? NOTHING, { ...agent, role: ROLE.MIDDLEBOX }, KEY, mac), false);
  });
});

describe("TLS", () => {
  it("S-24 TLS 1.1 is refused; 1.2 and 1.3 open sessions", async () => {
    assert.equal(await secured(trusting.port, { ...agentCredentials, version: "TLSv1.1" }), undefined);
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const wire = await secured(trusting.port, { ...agentCredentials, version });
      assert.equal((await wire?.ask(begin()))?.name, "SE_REPLY", version);
      wire?.close();
    }
  });

  it("S-25 TLS and clear text share one port", async () => {
    const clear = await trusting.connect();
    assert.equal((await clear.ask(begin()))?.name, "SE_REPLY");
    const wire = await secured(trusting.port, agentCredentials);
    assert.equal((await wire?.ask(begin()))?.name, "SE_REPLY");
    wire?.close();
  });

  it("is refused with a certificate of another authority", async () => {
    const stranger = new CertificateAuthority(folder, "stranger");
    const wire = await secured(trusting.port, issue("agent-1.example", stranger));
    assert.equal(await wire?.refusal(begin()), 0x0326);
    wire?.close();
  });

  it("lets an agent without a certificate prove with a token who it is", async () => {
    const wire = await secured(trusting.port);
    assert.ok(wire !== undefined);
    const asked = await challenged(wire);
    const token = tokenFor("agent-1", asked, wire.binding);
    assert.equal((await wire.ask({ name: "SA", tid: tid(), token }))?.name, "SE_REPLY");
    wire.close();
  });

  it("binds a proof to its connection, so that it is worth nothing on another", async () => {
    const wire = await secured(trusting.port);
    assert.ok(wire !== undefined);
    const asked = await challenged(wire);
    assert.equal(await wire.refusal({ name: "SA", tid: tid(), token: tokenFor("agent-1", asked) }), 0x0323);
    wire.close();
  });
});

describe("the end of a session", () => {
  it("S-17 ST is answered, and the connection ends", async () => {
    const wire = await rig.session();
    wire.send("010300000000001c");
    assert.equal(await wire.nextHex(), "020300000000001c");
    assert.ok(await wire.isClosed());
  });

  it("S-18 ST between SE and SA is answered, and the connection ends", async () => {
    const wire = await rig.connect();
    await challenged(wire);
    assert.equal((await wire.ask({ name: "ST", tid: tid() }))?.name, "ST_REPLY");
    assert.ok(await wire.isClosed());
  });

  it("S-19 what comes behind ST is not answered", async () => {
    const wire = await rig.session();
    wire.send("0103000000000001" + "0122000000000002");
    assert.equal(await wire.nextHex(), "0203000000000001");
    assert.ok(await wire.isClosed());
  });

  it("S-29 a server that stops answers what it works on, says AST, and nothing after it", async () => {
    const own = await SimcoRig.open();
    const wire = await own.session();
    wire.send(octetsOf(...[1, 2].map(() => "0122000000000009")));
    await wire.next();
    await own.closeDoor();
    const names: (string | undefined)[] = [];
    for (let message = await wire.next(); message !== undefined; message = await wire.next()) {
      names.push(message.name);
    }
    assert.equal(names.at(-1), "AST");
    assert.ok(names.length <= 2);
    await own.close();
  });

  it("S-30 rules outlive ST, AST and a lost connection", async () => {
    const own = await SimcoRig.open();
    const leaving: ((wire: AgentWire) => unknown)[] = [
      (wire) => wire.ask({ name: "ST", tid: tid() }),
      (wire) => wire.socket.resetAndDestroy(),
    ];
    for (const leave of leaving) {
      const wire = await own.session();
      const made = await wire.must("PER_REPLY", permit());
      await leave(wire);
      await delay(20);
      const again = await own.session();
      const { rules } = await again.must("PRL_REPLY", list());
      assert.ok(rules.includes(made.rule));
    }
    await own.closeDoor();
    assert.ok(own.filter.keys.length > 0);
    assert.ok((await own.service.read((store) => store.size)) === 2);
    await own.close();
  });

  it("S-32 half a minute without a session ends the connection", async () => {
    const own = await SimcoRig.open();
    const silent = await own.connect();
    const begun = await own.connect();
    await challenged(begun);
    own.advance(31);
    assert.ok(await silent.isClosed());
    assert.equal((await begun.next())?.name, "AST");
    assert.ok(await begun.isClosed());
    await own.close();
  });

  it("answers what has come when the agent has said its last word, and then closes", async () => {
    const wire = await rig.session();
    wire.socket.end(octetsOf("0122000000000005"));
    assert.equal((await wire.next())?.name, "PRL_REPLY");
    assert.ok(await wire.isClosed());
  });
});
