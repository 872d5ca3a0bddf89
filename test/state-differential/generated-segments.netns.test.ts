/** Random connections, a segment at a time, in our table and in the kernel's: a short run of each kind. */
import { GATEWAY } from "#lab";
import { netnsTest } from "#testing";
import { expectAgreement, WALK_KINDS } from "./crafter.ts";

const CONNECTIONS = 1000;
const SEED = 1;

for (const kind of WALK_KINDS) {
  netnsTest(
    `${kind.title}: both tables agree after each segment, or differ under a listed name`,
    GATEWAY,
    async (hosts) => expectAgreement(hosts, kind, { seed: SEED, connections: CONNECTIONS }),
  );
}
