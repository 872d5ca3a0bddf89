/**
 * A small call server: opens the eight pinholes of a call in one transaction, keeps them as long as the call
 * lasts, and closes them with it.
 *
 * A call has two streams (audio and video), each with RTP and RTCP, and each direction of these has ports of
 * its own: eight pinholes. They are in a group with the call's name, under ids made of it, so the server
 * needs to remember nothing: after a crash, the same line opens the same call again.
 *
 * Reads lines: `begin CALL INTERNAL EXTERNAL PORT` and `end CALL`. A call that cannot be opened is told, and
 * nothing of it stays.
 *
 * Usage: node call-server.mjs [--socket PATH] [--lifetime SECONDS]
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { connectPinholes } from "postern/client";

const { values } = parseArgs({
  options: { socket: { type: "string" }, lifetime: { type: "string", default: "60" } },
});
const pinholes = connectPinholes(values.socket === undefined ? {} : { socket: values.socket });
const lifetime = Number(values.lifetime);
const calls = new Set();

/** What flows: name, direction, and how far its ports lie from the call's first one. */
const FLOWS = ["audio", "video"].flatMap((stream, index) =>
  ["in", "out"].flatMap((direction, turn) =>
    ["rtp", "rtcp"].map((kind, step) => ({
      name: `${stream}-${kind}-${direction}`,
      direction,
      offset: 4 * index + 2 * turn + step,
    })),
  ),
);

async function begin(call, internal, external, port) {
  const change = pinholes.begin();
  for (const { name, direction, offset } of FLOWS) {
    const wish = {
      internal: `${internal}:${Number(port) + offset}`,
      external: `${external}:${Number(port) + offset}`,
      protocol: "udp",
      direction,
      lifetime,
      group: call,
    };
    change.open(wish, `${call}/${name}`.replaceAll("/", ":"));
  }
  const { generation } = await change.commit();
  calls.add(call);
  process.stdout.write(`${call} begins: ${FLOWS.length} pinholes since generation ${generation}\n`);
}

async function end(call) {
  calls.delete(call);
  const { results } = await pinholes.closeGroup(call);
  process.stdout.write(`${call} ends: ${results.length} pinholes closed\n`);
}

/** What a call cannot do is its own trouble. */
async function attempt(call, work) {
  try {
    await work();
  } catch (error) {
    process.stdout.write(`${call} failed: ${error.message} [${error.code}]\n`);
  }
}

// Twice in each lease, so that one renewal may be lost.
const keeper = setInterval(
  () => {
    for (const call of calls) void attempt(call, () => pinholes.renewGroup(call, lifetime));
  },
  (lifetime * 1000) / 2,
);

for await (const line of createInterface({ input: process.stdin })) {
  const [word, call, ...rest] = line.trim().split(/\s+/);
  if (word === "begin") await attempt(call, () => begin(call, ...rest));
  else if (word === "end") await attempt(call, () => end(call));
}
clearInterval(keeper);
for (const call of calls) await attempt(call, () => end(call));
pinholes.end();
