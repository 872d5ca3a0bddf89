/**
 * Opens connections to a Unix socket and says nothing on them, until its input ends. Prints how many are open
 * at each change of it.
 */
import { createConnection, type Socket } from "node:net";

const [path = "", count = "0"] = process.argv.slice(2);
const AGAIN_MS = 5;
const open = new Set<Socket>();

/** A socket whose queue is full asks to come back. */
function connect(): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once("connect", () => {
      open.add(socket);
      resolve();
    });
    socket.once("error", () => setTimeout(() => void connect().then(resolve), AGAIN_MS));
    socket.once("close", () => {
      if (open.delete(socket)) process.stdout.write(`${open.size}\n`);
    });
  });
}

// Before the first connection: who is at the other end may be gone before all of them are open.
process.stdin.once("end", () => process.exit()).resume();

const AT_ONCE = 64;
for (let made = 0; made < Number(count); made += AT_ONCE) {
  const some = Math.min(AT_ONCE, Number(count) - made);
  await Promise.all(Array.from({ length: some }, connect));
}
process.stdout.write(`${open.size}\n`);
