/** Agents for tests. */
import { ADMINISTRATOR_PROFILE, type Agent, DEFAULT_PROFILE } from "../../pinhole/index.ts";

const OPEN = { ...DEFAULT_PROFILE, wildcards: ADMINISTRATOR_PROFILE.wildcards };

/** A call server. */
export const ALICE: Agent = { name: "alice", profile: OPEN };
/** Another call server. */
export const BOB: Agent = { name: "bob", profile: OPEN };
/** May do everything. */
export const ADMIN: Agent = { name: "admin", profile: ADMINISTRATOR_PROFILE };

/** Numbers that look like chance and are the same every time. */
export function fakeEntropy(seed = 1): (bytes: number) => Uint8Array {
  let state = seed;
  return (bytes) =>
    Uint8Array.from({ length: bytes }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    });
}
