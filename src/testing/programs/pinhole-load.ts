/**
 * Opens pinholes as a call server does and says what each of them takes up, in bytes, as one line of JSON.
 *
 *   node --expose-gc pinhole-load.js COUNT
 */
import { defaultLimits } from "../../base/index.ts";
import { ADMINISTRATOR_PROFILE, PinholeStore } from "../../pinhole/index.ts";

const PINHOLES_PER_CALL = 8;
const CALLS_AT_ONCE = 100;

const count = Number(process.argv[2]);
const collect = globalThis.gc ?? (() => undefined);
const agent = { name: "sip", profile: ADMINISTRATOR_PROFILE };
const moment = { now: 123_456.789_012, wall: 1_700_000_000_000 };
const store = new PinholeStore({
  limits: defaultLimits(),
  expansionMax: 8,
  entropy: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
});

function open(first: number, end: number): void {
  const transaction = store.stage(agent, moment);
  for (let at = first; at < end; at += 1) {
    const [internal, external] = [10_000 + (at % 50_000), 20_000 + Math.floor(at / 50_000)];
    transaction.open(
      {
        kind: "permit",
        internal: { family: 4, address: "10.1.0.7", ports: [internal, internal] },
        external: { family: 4, address: "198.51.100.9", ports: [external, external] },
        protocol: 17,
        direction: at % 2 === 0 ? "out" : "in",
        lifetime: 3600,
      },
      `call:${Math.floor(at / PINHOLES_PER_CALL)}:${at % PINHOLES_PER_CALL}`,
    );
  }
  store.prepare([{ transaction, options: {} }], moment).settle();
}

collect();
const before = process.memoryUsage();
const step = PINHOLES_PER_CALL * CALLS_AT_ONCE;
for (let first = 0; first < count; first += step) open(first, Math.min(count, first + step));
collect();
const after = process.memoryUsage();
const heap = (after.heapUsed - before.heapUsed) / store.size;
const buffers = (after.arrayBuffers - before.arrayBuffers) / store.size;
process.stdout.write(`${JSON.stringify({ pinholes: store.size, heap, buffers })}\n`);
