import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { remainingSeconds } from "./pinhole.ts";
import { deadlineAfter } from "./workbench.ts";

describe("the seconds that a pinhole has left", () => {
  const granted = 300;
  const now = 1000.25;
  const pinhole = { granted, deadline: deadlineAfter(granted, now) };

  it("are what was granted when somebody asks at once, between two milliseconds", () => {
    assert.equal(remainingSeconds(pinhole, now), 300);
  });

  it("are never none while it lives", () => {
    assert.equal(remainingSeconds(pinhole, pinhole.deadline - 0.01), 1);
    assert.equal(remainingSeconds(pinhole, pinhole.deadline), 1);
  });

  it("count down in whole seconds", () => {
    assert.deepEqual(
      [1, 10.5, 299].map((seconds) => remainingSeconds(pinhole, now + seconds * 1000)),
      [300, 290, 2],
    );
  });

  it("have no number for a lease without end", () => {
    const endless = { granted: null, deadline: deadlineAfter(null, now) };
    assert.equal(remainingSeconds(endless, now), null);
  });
});
