import assert from "node:assert/strict";
import { test } from "node:test";
import { laboratoryObstacle } from "../../lab/index.ts";
import {
  inFreshNamespace,
  kernelRelease,
  NETLINK_PROTOCOL,
  NetlinkSocket,
  Nftables,
} from "../../system/index.ts";
import { type KernelFeatures, probeFeatures } from "./kernel-features.ts";

const TABLE = { family: 1, name: "ph-probe" };

/** True when the running kernel is of this version or a later one. */
function isFrom(major: number, minor: number): boolean {
  const [ours = 0, theirs = 0] = kernelRelease()
    .split(".")
    .map((word) => Number.parseInt(word, 10));
  return ours > major || (ours === major && theirs >= minor);
}

void test("what the kernel can do is found out, and nothing is left", {
  skip: laboratoryObstacle() ?? false,
}, () => {
  inFreshNamespace(() => {
    const socket = NetlinkSocket.open(NETLINK_PROTOCOL.NETFILTER);
    const nftables = Nftables.open();
    const features: KernelFeatures = probeFeatures(TABLE, socket, nftables);
    // Older kernels may have got either from their distributor.
    assert.ok(features.destroys || !isFrom(6, 3), "elements can be destroyed from 6.3 on");
    assert.ok(features.renews || !isFrom(6, 12), "lifetimes can be renewed from 6.12 on");
    assert.equal(nftables.run("list ruleset"), "");
    nftables.close();
    socket.close();
  });
});
