import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PROTOCOL } from "../base/index.ts";
import { packets, pinholeSpecs } from "../testing/index.ts";
import { concerns } from "./judgement.ts";
import type { Pinhole } from "./pinhole.ts";
import { Population } from "./population.ts";
import { PinholeRequest, type PinholeSpec } from "./specification.ts";
import { UndoLog } from "./undo-log.ts";

/** An enabled pinhole. */
function pinhole(number: number, spec: PinholeSpec): Pinhole {
  return {
    id: `ph_${number}`,
    number,
    clientId: undefined,
    owner: "alice",
    request: PinholeRequest.check(spec),
    group: "",
    groupNumber: 0,
    state: "enabled",
    revision: 1,
    generation: 1,
    granted: 60,
    deadline: 60_000,
    deadlineAt: 60_000,
    createdAt: 0,
    limit: undefined,
    leases: [],
    end: undefined,
  };
}

/** A text of which nobody can make a pinhole. */
const UNREADABLE = "[";

const AUDIO: PinholeSpec = {
  kind: "permit",
  internal: { family: 4, address: "10.1.0.1", ports: [5000, 5003] },
  external: { family: 4, address: "203.0.113.1", ports: [6000, 6003] },
  protocol: PROTOCOL.UDP,
  direction: "in",
  portMode: "pairwise",
  lifetime: 60,
};

describe("whether pinholes speak of a packet", () => {
  const shape = { families: [4, 6], lifetimes: [1, 60] } as const;

  it("is found as each of them says by itself", () => {
    const pinholes = fc.array(pinholeSpecs(shape), { minLength: 1, maxLength: 8 });
    const seen = { true: 0, false: 0 };
    fc.assert(
      fc.property(pinholes, fc.array(packets(), { minLength: 20, maxLength: 20 }), (specs, some) => {
        const population = new Population(new UndoLog());
        const all = specs.map((spec, number) => pinhole(number, spec));
        for (const one of all) population.add(one);
        for (const packet of some) {
          for (const kind of ["permit", "block"] as const) {
            const expected = all.some((one) => one.request.kind === kind && concerns(one, packet));
            seen[`${expected}`] += 1;
            assert.equal(population.isConcerned(kind, packet), expected);
          }
        }
      }),
      { numRuns: 300 },
    );
    assert.ok(seen.true > 100 && seen.false > 100, JSON.stringify(seen));
  });

  it("is found without reading any of them, however many lie between its ends", () => {
    const population = new Population(new UndoLog());
    for (let number = 0; number < 1000; number += 1) population.add(pinhole(number, AUDIO), UNREADABLE);
    const { internal, external } = PinholeRequest.check(AUDIO);
    const [source, destination] = [external.prefix.words, internal.prefix.words];
    const media = { family: 4, protocol: PROTOCOL.UDP, opensTcp: false, source, destination } as const;
    const speaksOf = (sourcePort: number, destinationPort: number): boolean =>
      population.isConcerned("permit", { ...media, sourcePort, destinationPort });
    assert.deepEqual([speaksOf(6001, 5001), speaksOf(6001, 5002)], [true, false]);
    const answer = { ...media, source: destination, destination: source };
    assert.equal(
      population.isConcerned("permit", { ...answer, sourcePort: 5001, destinationPort: 6001 }),
      false,
    );
  });
});
