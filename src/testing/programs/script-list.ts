/**
 * Preloaded into a firewall (`--import`), it writes down which scripts each thread has read, when the thread
 * ends: to the folder of the environment variable SCRIPT_LIST, a file for each thread.
 */
import { writeFileSync } from "node:fs";
import { type Debugger, Session } from "node:inspector";
import { join } from "node:path";
import { threadId } from "node:worker_threads";

const folder = process.env["SCRIPT_LIST"];
if (folder !== undefined) {
  const urls: string[] = [];
  const session = new Session();
  session.connect();
  session.on("Debugger.scriptParsed", ({ params }: { params: Debugger.ScriptParsedEventDataType }) => {
    urls.push(params.url);
  });
  session.post("Debugger.enable");
  process.on("exit", () => writeFileSync(join(folder, `thread-${threadId}`), urls.join("\n")));
}
