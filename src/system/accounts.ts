/**
 * Names of users and groups in the machine's own files. Directory services are not asked: a firewall must not
 * wait for the network to know its rules. A number stands for itself.
 */
import { readFileSync } from "node:fs";

/** Largest user or group id; the one above means "none". */
const ID_MAX = 0xfffffffe;

function parseNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= ID_MAX ? id : undefined;
}

/**
 * Finds a name in a file of the form of `/etc/passwd` and `/etc/group`: name, password, id, separated by
 * colons.
 *
 * @returns the id, or `undefined` when the name is unknown
 */
export function findAccount(text: string, name: string): number | undefined {
  for (const line of text.split("\n")) {
    const [found, , id] = line.split(":");
    if (found === name && name !== "") return parseNumber(id);
  }
  return undefined;
}

function readAccount(file: string, name: string): number | undefined {
  const number = parseNumber(name);
  if (number !== undefined) return number;
  try {
    return findAccount(readFileSync(file, "utf8"), name);
  } catch {
    return undefined;
  }
}

/** Id of a user by name or number, `undefined` when unknown. */
export function resolveUser(name: string): number | undefined {
  return readAccount("/etc/passwd", name);
}

/** Id of a group by name or number, `undefined` when unknown. */
export function resolveGroup(name: string): number | undefined {
  return readAccount("/etc/group", name);
}
