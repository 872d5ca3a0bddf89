/**
 * What the typed client promises, whatever packet filter is behind the daemon: the same cases run against the
 * simulator and against nftables.
 */
import assert from "node:assert/strict";
import { type PinholeClient, PinholeError } from "../../client/index.ts";

/** A case: it gets a client of a fresh daemon. */
export interface ClientCase {
  /** A sentence that holds. */
  readonly title: string;
  readonly run: (client: PinholeClient) => Promise<void>;
}

const AUDIO = {
  internal: "10.1.0.7:5004",
  external: "198.51.100.9:6004",
  protocol: "udp",
  lifetime: 60,
} as const;

/** The cases. */
export const CLIENT_CASES: readonly ClientCase[] = [
  {
    title: "is answered when a commit is written, if that is enough, and what it reads then is in force",
    run: async (client) => {
      const change = client.begin();
      const id = change.open(AUDIO);
      assert.equal((await change.commit({ wait: "journal" })).isInForce, false);
      assert.equal((await client.get(id)).state, "enabled");
      const { isInForce } = await client.close(id);
      assert.equal(isInForce, undefined, "who does not ask for less waits for all of it");
    },
  },
  {
    title: "replays the slides: a rule in one transaction, then out with it and in with another in the next",
    run: async (client) => {
      const rules = client.begin();
      const id = rules.open({
        internal: "1.2.3.4/24:100-200",
        external: "2.3.4.5/24:300-400",
        protocol: "udp",
        direction: "out",
        lifetime: 3600,
      });
      await rules.commit();
      const change = client.begin();
      change.close(id);
      const other = change.open({
        internal: "5.6.7.8/24:100-200",
        external: "6.7.8.9/24:300-400",
        protocol: "udp",
        direction: "out",
        lifetime: 3600,
      });
      const { results } = await change.commit();
      assert.deepEqual(
        results.map(({ op, state }) => [op, state]),
        [
          ["close", "ended"],
          ["open", "enabled"],
        ],
      );
      assert.equal((await client.get(other)).state, "enabled");
      assert.equal((await client.getStatus()).pinholes, 1);
    },
  },

  {
    title: "says which operation was refused and why, and nothing of the transaction took effect",
    run: async (client) => {
      const change = client.begin();
      change.open(AUDIO);
      change.open({ ...AUDIO, internal: "10.1.0.300:5" });
      await assert.rejects(change.commit(), (error: unknown) => {
        assert.ok(error instanceof PinholeError);
        assert.deepEqual(
          [error.code, error.problem.operation, error.problem.field],
          ["ADDRESS_ILLEGAL", 1, "internal.address"],
        );
        return true;
      });
      assert.equal((await client.getStatus()).pinholes, 0);
    },
  },

  {
    title: "reserves, enables, renews, blocks, and reads what it did",
    run: async (client) => {
      const first = client.begin();
      const id = first.reserve({ protocol: "udp", lifetime: 30, portCount: 1 });
      await first.commit();
      const second = client.begin();
      second.enable(id, AUDIO);
      const block = second.block({ ...AUDIO, internal: "10.1.0.8" }, "ids:7");
      await second.commit();
      await client.renew(id, 600);
      assert.equal((await client.get(id, true)).granted, 600);
      const kinds: string[] = [];
      for await (const pinhole of client.list({ traffic: true })) kinds.push(pinhole.spec.kind);
      assert.deepEqual(kinds.sort(), ["block", "permit"]);
      await client.close(block);
      const { state, reason } = await client.get(block);
      assert.deepEqual([state, reason], ["ended", "deleted"]);
      assert.equal(
        await client.get("ids:8").catch((error: unknown) => (error as PinholeError).code),
        "NO_SUCH_PINHOLE",
      );
      assert.equal((await client.getCapabilities()).agent, "root");
      assert.equal((await client.listBackends())[0]?.isDegraded, false);
    },
  },

  {
    title: "lists more than a page holds, and groups",
    run: async (client) => {
      const change = client.begin();
      for (let port = 1; port <= 2500; port += 1) {
        change.open({ ...AUDIO, internal: `10.1.0.7:${port}`, group: `g${port % 3}` });
      }
      await change.commit();
      const ids = new Set<string>();
      for await (const { id } of client.list()) ids.add(id);
      assert.equal(ids.size, 2500);
      const groups: string[] = [];
      for await (const { id } of client.listGroups()) groups.push(id);
      assert.deepEqual(groups.sort(), ["g0", "g1", "g2"]);
      assert.equal((await client.getGroup("g0")).members?.length, 833);
      await client.renewGroup("g0", 90);
      await client.closeGroup("g1");
      assert.equal((await client.getStatus()).pinholes, 2500 - 834);
    },
  },
];
