/** Folders that are there after a crash: the folder that names a new one is synced too. */
import { closeSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { dirname, relative, resolve, sep } from "node:path";

/** Puts the names in a folder on the disk. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes a folder and those above it that are missing, for the owner's eyes only.
 *
 * @returns when their names are on the disk
 */
export function makeFolder(folder: string): void {
  const path = resolve(folder);
  const first = mkdirSync(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  const parent = dirname(first);
  syncFolder(parent);
  const made = relative(parent, path).split(sep);
  for (let depth = 1; depth < made.length; depth += 1) syncFolder(resolve(parent, ...made.slice(0, depth)));
}
