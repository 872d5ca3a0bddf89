#!/usr/bin/env node
import { runCommandLine } from "./program.ts";

// A reader that leaves early (`postern replay … | head`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await runCommandLine(process.argv);
