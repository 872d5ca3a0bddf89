/** Lists of pinholes: what they shall hold, and the pages in which they are read. */
import type { Pinhole } from "./pinhole.ts";

/** Which pinholes a list shall hold. */
export interface PinholeFilter {
  readonly owner?: string;
  /** Id of a group. */
  readonly group?: string;
  readonly state?: "reserved" | "enabled";
  readonly kind?: Pinhole["request"]["kind"];
  /** All of these, name and value. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** One page of a list. */
export interface PinholePage {
  readonly pinholes: readonly Pinhole[];
  /** Where the next page begins; undefined at the end. */
  readonly cursor: string | undefined;
}

/** True when a list shall hold a pinhole. */
export function passes(pinhole: Pinhole, filter: PinholeFilter): boolean {
  const { owner, group, state, kind, labels } = filter;
  if (owner !== undefined && pinhole.owner !== owner) return false;
  if (group !== undefined && pinhole.group !== group) return false;
  if (state !== undefined && pinhole.state !== state) return false;
  if (kind !== undefined && pinhole.request.kind !== kind) return false;
  const own = pinhole.request.spec.labels ?? {};
  return Object.entries(labels ?? {}).every(([name, value]) => own[name] === value);
}
