/** What this kernel's nf_tables can do, found by doing it in a table that no packet meets. */
import {
  ElementReader,
  encodeElementGet,
  NftablesBatch,
  SetBatch,
  TABLE_FAMILY,
  type TableName,
} from "../../netlink/index.ts";
import type { NetlinkSocket, Nftables } from "../../system/index.ts";
import type { ChainPlan } from "./chain-plan.ts";

/** What makes a difference to us. */
export interface KernelFeatures {
  /** Elements can be removed whether they are there or not (Linux 6.3). */
  readonly destroys: boolean;
  /** An element can be given another lifetime, and keeps its counter (Linux 6.12). */
  readonly renews: boolean;
}

const SET = "probe";
const SHORT_MS = 100_000;
const LONG_MS = 200_000;
// Keys of an inet_service set have two bytes, and the kernel refuses any other length.
const PRESENT: Uint8Array = Uint8Array.of(0, 1);
const ABSENT: Uint8Array = Uint8Array.of(0, 2);

function succeeds(socket: NetlinkSocket, request: Uint8Array): boolean {
  return socket.exchange(request).answers.every((answer) => answer.errno === 0);
}

function canDestroy(socket: NetlinkSocket, table: TableName): boolean {
  const batch = new SetBatch(1);
  batch.destroy({ table, name: SET }, [{ key: ABSENT }]);
  return succeeds(socket, batch.end());
}

function canRenew(socket: NetlinkSocket, table: TableName): boolean {
  for (const timeoutMs of [SHORT_MS, LONG_MS]) {
    const batch = new SetBatch(1);
    batch.put({ table, name: SET }, [{ key: PRESENT, timeoutMs }]);
    if (!succeeds(socket, batch.end())) return false;
  }
  let leftMs = 0;
  const reader = new ElementReader();
  for (const message of socket.exchange(encodeElementGet(table, SET, { key: PRESENT })).messages) {
    reader.read(message, (element) => {
      leftMs = element.leftMs;
    });
  }
  return leftMs > SHORT_MS;
}

/** The table in which it is tried; it lends its name from the chain, so that nobody else's is touched. */
export function probeTable(plan: ChainPlan): TableName {
  return { family: TABLE_FAMILY.INET, name: `${plan.chain}-probe` };
}

/**
 * Finds out what the kernel can do. Leaves nothing behind.
 *
 * @param table - in which to try
 * @throws {FirewallError} `NFTABLES_REFUSED` when we may not change rules
 */
export function probeFeatures(table: TableName, socket: NetlinkSocket, nftables: Nftables): KernelFeatures {
  nftables.run(`add table inet ${table.name}
delete table inet ${table.name}
table inet ${table.name} {
	set ${SET} {
		type inet_service
		flags timeout
	}
}
`);
  try {
    return { destroys: canDestroy(socket, table), renews: canRenew(socket, table) };
  } finally {
    const batch = new NftablesBatch(1);
    batch.deleteTable(table);
    socket.exchange(batch.end());
  }
}
