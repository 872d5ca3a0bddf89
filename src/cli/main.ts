#!/usr/bin/env -S node --max-semi-space-size=4 --no-parallel-scavenge
/**
 * The `postern` command.
 *
 * A collection of the young generation stops everything, for as long as it takes to copy what survives it: 4
 * to 6 ms of a daemon that is asked for calls all the time, with the 16 MiB that V8 lets one half of it grow
 * to. With 4 MiB it is 2 ms, and so little is copied by one thread as fast as by several; on a busy machine
 * those are waited for. Nothing but an argument for Node sets the size before the heap is made.
 */
import { runCommandLine } from "./program.ts";

// A reader that leaves early (`postern replay … | head`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await runCommandLine(process.argv);
