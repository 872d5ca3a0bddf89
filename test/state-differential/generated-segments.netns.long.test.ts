/** Random connections in our table and in the kernel's: a long run of each kind, others each time. */
import { randomInt } from "node:crypto";
import { GATEWAY } from "#lab";
import { longNetnsTest } from "#testing";
import { expectAgreement, WALK_KINDS } from "./crafter.ts";

const CONNECTIONS = 10_000;
const SEEDS = 2 ** 31;

for (const kind of WALK_KINDS) {
  longNetnsTest(
    `${kind.title}, many: both tables agree after each segment, or differ under a listed name`,
    GATEWAY,
    async (hosts) =>
      expectAgreement(hosts, kind, {
        seed: randomInt(SEEDS),
        connections: CONNECTIONS,
      }),
  );
}
