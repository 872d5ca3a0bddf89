import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULT_PROFILE } from "../../pinhole/index.ts";
import { RequestMeter } from "./request-meter.ts";

describe("the meter of requests", () => {
  const agent = { name: "a", profile: { ...DEFAULT_PROFILE, requestsPerSecond: 10, requestBurst: 3 } };

  it("lets a burst through, then as many a second as the profile says", () => {
    const meter = new RequestMeter();
    assert.deepEqual(
      [1, 2, 3].map(() => meter.take(agent, 0)),
      [0, 0, 0],
    );
    assert.equal(meter.take(agent, 0), 100);
    assert.equal(meter.take(agent, 50), 50);
    assert.equal(meter.take(agent, 100), 0);
    assert.ok(meter.take(agent, 100) > 0);
    let taken = 0;
    for (let now = 100; now < 10_100; now += 10) if (meter.take(agent, now) === 0) taken += 1;
    assert.ok(taken >= 99 && taken <= 101, `${taken} in ten seconds`);
  });

  it("saves no more than the burst while nothing comes, and counts each agent alone", () => {
    const meter = new RequestMeter();
    for (let turn = 0; turn < 3; turn += 1) meter.take(agent, 0);
    assert.equal(meter.take({ ...agent, name: "b" }, 0), 0);
    const after = [1, 2, 3, 4].map(() => meter.take(agent, 3_600_000));
    assert.deepEqual(
      after.map((wait) => wait > 0),
      [false, false, false, true],
    );
  });
});
