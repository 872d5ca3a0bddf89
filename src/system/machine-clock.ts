/** The machine's two clocks, and what names its start. */
import { readFileSync } from "node:fs";
import type { Milliseconds } from "../base/index.ts";

const NANOSECONDS = 1e6;

/**
 * Both clocks. The monotonic one counts from the start of the machine and not of the process
 * (CLOCK_MONOTONIC), so what one process writes down means the same to the next.
 */
export function machineMoment(): { readonly now: Milliseconds; readonly wall: Milliseconds } {
  return { now: Number(process.hrtime.bigint()) / NANOSECONDS, wall: Date.now() };
}

/** Names the start of the machine; another after each. */
export function machineBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
