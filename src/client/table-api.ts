/** What goes over the control socket about address tables and limits. */
import type { EntryStatistics, TableStatistics } from "../tables/index.ts";

/** A table: one line of `GET /v1/tables`. */
export interface TableReport {
  readonly name: string;
  readonly entries: number;
  /** Most entries. */
  readonly capacity: number;
  /** Whether the policy in force declares it; otherwise a command made it. */
  readonly declared: boolean;
  /** Whether commands are kept from changing it. */
  readonly const: boolean;
  /** Whether each entry counts packets. */
  readonly counters: boolean;
  /** Rules that name it. */
  readonly uses: number;
  /** Seconds since its counters began. */
  readonly ageSeconds: number;
  readonly statistics: TableStatistics;
}

/** An entry: one line of `GET /v1/tables/NAME`. */
export interface TableEntryReport {
  /** Such as `10.0.0.0/8` or `2001:db8::1`. */
  readonly address: string;
  /** Whether it takes addresses out of the table. */
  readonly negated: boolean;
  /** Seconds since it was added or its counters were cleared. */
  readonly ageSeconds: number;
  /** Seconds until it ends by itself. */
  readonly expiresInSeconds?: number;
  /** Absent when the table counts no packets by entry. */
  readonly statistics?: EntryStatistics;
}

/** Body of `POST /v1/tables`. */
export interface TableCreation {
  readonly name: string;
  /** Most entries; the limit `table-entries` when absent. */
  readonly capacity?: number;
  readonly counters?: boolean;
}

/** Body of `POST /v1/tables/NAME/add`, `delete` and `set`. */
export interface TableChangeRequest {
  /** Such as `10.0.0.0/8` or `!10.1.0.0/16`. */
  readonly addresses: readonly string[];
  /** The entries end by themselves after so many seconds (`add` only). */
  readonly lifetimeSeconds?: number;
  /** Whether the answer says what became of each address. */
  readonly verbose?: boolean;
}

/** What became of one address of a request. */
export type TableOutcome =
  /** It is there already, or not there at all. */
  | "none"
  | "added"
  | "deleted"
  /** It was there with the other sign. */
  | "changed"
  /** It is there with the other sign and was left alone. */
  | "conflict"
  /** The request names it twice. */
  | "duplicate";

/** Answer to `add`, `delete`, `set`, `clear` and `expire`. */
export interface TableChangeReport {
  readonly added: number;
  readonly deleted: number;
  readonly changed: number;
  /** Addresses that are there with the other sign and were left alone. */
  readonly conflicts: number;
  /** One for each address of the request, when it asked for it. */
  readonly outcomes?: readonly TableOutcome[];
}

/** Answer of `POST /v1/tables/NAME/test`, one for each address. */
export interface TableTestReport {
  /** As it was asked. */
  readonly address: string;
  /** Whether it is in the table. */
  readonly matches: boolean;
  /** The entry that decides, such as `!10.1.0.0/16`; absent when none covers the address. */
  readonly entry?: string;
}

/** A limit under pf's name: one line of `GET /v1/limits`. */
export interface LimitReport {
  /** Such as `table-entries`. */
  readonly name: string;
  /** Its name in `settings.limits` of a policy. */
  readonly setting: string;
  readonly value: number;
  /** What it counts, and for what, such as `flows per worker`. */
  readonly unit: string;
  /** How much of it is taken: where there are several, by the fullest; absent where nobody counts. */
  readonly used?: number;
  /** When a change takes effect: at once by command, when the policy is reloaded, or when it starts. */
  readonly changes: "now" | "reload" | "start";
}
