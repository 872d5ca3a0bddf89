import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULT_PROFILE, parseProfile } from "../../pinhole/index.ts";
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

  it("lets a call server set up and tear down a thousand calls a second without a profile, and no flood", () => {
    const meter = new RequestMeter();
    const server = { name: "sip", profile: DEFAULT_PROFILE };
    let refused = 0;
    for (let now = 0; now < 60_000; now += 1) {
      for (let request = 0; request < 2; request += 1) refused += meter.take(server, now) > 0 ? 1 : 0;
    }
    assert.equal(refused, 0);
    let passed = 0;
    for (let request = 0; request < 10_000; request += 1) passed += meter.take(server, 60_000) === 0 ? 1 : 0;
    assert.ok(passed <= DEFAULT_PROFILE.requestsPerSecond, `${passed} at once`);
    const own = parseProfile({ requestsPerSecond: 50 });
    assert.equal(own.requestBurst, 50, "a second's worth, of a profile's own rate too");
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
