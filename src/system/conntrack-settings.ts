/** What the kernel's connection tracker keeps, and how to make it keep more. */
import { writeFileSync } from "node:fs";
import { FirewallError } from "../base/index.ts";
import { readSysctl } from "./kernel-settings.ts";

const COUNTERS = "net.netfilter.nf_conntrack_acct";
const EVENTS = "net.netfilter.nf_conntrack_events";
const TIMESTAMPS = "net.netfilter.nf_conntrack_timestamp";

/** What entries have besides their tuples. */
export interface ConntrackAccounting {
  /** Packets and bytes. */
  readonly counters: boolean;
  /** When they began. */
  readonly timestamps: boolean;
  /**
   * Of which entries news are sent: of all; of those that begin while somebody listens (the kernel's
   * default); of none.
   */
  readonly news: "all" | "listened" | "none";
  /** Settings that are off, with the command that sets them; empty when all is on. */
  readonly advice: readonly string[];
}

/** Tells what the tracker keeps in the network namespace of the calling thread. */
export function readConntrackAccounting(): ConntrackAccounting {
  const isOn = (name: string): boolean => readSysctl(name) === "1";
  const off = [COUNTERS, TIMESTAMPS].filter((name) => !isOn(name));
  const news = isOn(EVENTS) ? "all" : readSysctl(EVENTS) === "0" ? "none" : "listened";
  if (news === "none") off.push(EVENTS);
  const advice = off.map((name) => `sysctl -w ${name}=1`);
  return { counters: isOn(COUNTERS), timestamps: isOn(TIMESTAMPS), news, advice };
}

/**
 * Makes the tracker count packets and bytes, note times, and send news of every connection, as far as they
 * begin from then on. Only ever called when the user asked for it.
 *
 * @throws {FirewallError} `SYSCTL_REFUSED`
 */
export function enableConntrackAccounting(): void {
  for (const name of [COUNTERS, TIMESTAMPS, EVENTS]) {
    try {
      writeFileSync(`/proc/sys/${name.replaceAll(".", "/")}`, "1\n");
    } catch (cause) {
      throw new FirewallError("SYSCTL_REFUSED", `Cannot set ${name} to 1. Run as root.`, {
        details: { name },
        cause,
      });
    }
  }
}
