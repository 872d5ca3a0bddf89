/** What the kernel tells about itself and about us in files: release, sysctl values, capabilities. */
import { readFileSync } from "node:fs";

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Release of the running kernel, such as `6.12.0-amd64`; "" when unknown. */
export function kernelRelease(): string {
  return readText("/proc/sys/kernel/osrelease") ?? "";
}

/**
 * Value of a kernel setting in the calling thread's network namespace.
 *
 * @param name - with dots, such as `net.ipv4.ip_forward`
 * @returns the text, or `undefined` when the kernel has no such setting
 */
export function readSysctl(name: string): string | undefined {
  return readText(`/proc/sys/${name.replaceAll(".", "/")}`);
}

/** Capabilities that matter here, by their bit (`linux/capability.h`). */
export const CAPABILITY = {
  /** Queues, rules, receive buffers of any size. */
  CAP_NET_ADMIN: 12,
  /** Raw sockets: sending captures back onto the wire. */
  CAP_NET_RAW: 13,
  /** Network namespaces: probing without a trace, the demonstration. */
  CAP_SYS_ADMIN: 21,
  /** Real-time priority for workers. */
  CAP_SYS_NICE: 23,
} as const;

/** A capability by its name. */
export type CapabilityName = keyof typeof CAPABILITY;

/** Reads the effective capabilities out of the text of a `/proc/…/status` file. */
export function parseCapabilities(status: string): CapabilityName[] {
  const found = /^CapEff:\s*([0-9a-fA-F]+)$/m.exec(status);
  if (found === null) return [];
  const bits = BigInt(`0x${found[1]}`);
  const names = Object.keys(CAPABILITY) as CapabilityName[];
  return names.filter((name) => ((bits >> BigInt(CAPABILITY[name])) & 1n) === 1n);
}

/** The capabilities that the calling thread has, of those that matter here. */
export function readCapabilities(): CapabilityName[] {
  return parseCapabilities(readText("/proc/thread-self/status") ?? "");
}

/** How many files this process may have open, sockets among them. */
export function readOpenFilesMax(): number {
  const found = /^Max open files\s+(\d+)/m.exec(readText("/proc/self/limits") ?? "");
  return found === null ? Number.POSITIVE_INFINITY : Number(found[1]);
}
