/** The typed client's suite with nftables behind the daemon; with the simulator it runs beside the client. */
import assert from "node:assert/strict";
import { NftablesPinholes } from "#backend";
import { connectPinholes } from "#client";
import { HOST_PAIR } from "#lab";
import { inNamespace } from "#system";
import { CLIENT_CASES, netnsTest, openHouse } from "#testing";

netnsTest("the client's suite holds with nftables behind it", HOST_PAIR, async ({ firewall }) => {
  assert.ok(CLIENT_CASES.length >= 4);
  for (const [index, { run }] of CLIENT_CASES.entries()) {
    const plan = { table: "filter", chain: `pinholes-${index}` };
    const backend = inNamespace(firewall.fullName, () => NftablesPinholes.open(plan));
    const house = await openHouse({ backend });
    const client = connectPinholes({ socket: house.socket });
    assert.equal((await client.getStatus()).backend.name, "nftables");
    await run(client);
    client.end();
    await house.close();
  }
});
