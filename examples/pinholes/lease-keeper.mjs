/**
 * Keeps pinholes with a label alive, for programs that open and forget.
 *
 * Reads all of them once, then follows events; renews each when half of its lease is over. After a gap in the
 * events it reads everything anew. When it ends, leases run out by themselves.
 *
 * Usage: node lease-keeper.mjs [--socket PATH] [--label NAME=VALUE]
 */
import { parseArgs } from "node:util";
import { connectPinholes } from "postern/client";

const { values } = parseArgs({
  options: { socket: { type: "string" }, label: { type: "string", default: "keep=yes" } },
});
const pinholes = connectPinholes(values.socket === undefined ? {} : { socket: values.socket });
const [name, value] = values.label.split("=");
/** Timers by pinhole. */
const timers = new Map();

function forget(id) {
  clearTimeout(timers.get(id));
  timers.delete(id);
}

async function renew({ id, clientId, spec }) {
  try {
    await pinholes.renew(id, spec.lifetime);
    process.stdout.write(`${clientId ?? id} renewed for ${spec.lifetime} s\n`);
  } catch (error) {
    process.stdout.write(`${clientId ?? id} is lost: ${error.message}\n`);
  }
}

function keep(pinhole) {
  const { id, state, granted, remaining, spec } = pinhole;
  forget(id);
  if (state === "ended" || granted === null || spec.labels?.[name] !== value) return;
  const afterMs = Math.max(0, remaining - granted / 2) * 1000;
  timers.set(
    id,
    setTimeout(() => void renew(pinhole), afterMs),
  );
}

async function readAll() {
  for (const id of timers.keys()) forget(id);
  for await (const pinhole of pinholes.list({ label: values.label })) keep(pinhole);
}

// The stream is open before the list is read, so nothing can fall between the two.
for await (const { type, pinhole } of pinholes.watch()) {
  if (type === "events.ready" || type === "events.gap") await readAll();
  else if (pinhole !== undefined) keep(pinhole);
}
