/**
 * What every packet filter behind the pinholes must do, as tests. Each is told in terms of what agents ask
 * for and of packets that pass or do not; the filter is a real one or the simulator.
 */
import type { ComplianceCase } from "./compliance-world.ts";
import { LIMIT_CASES } from "./limit-cases.ts";
import { OVERLAP_CASES } from "./overlap-cases.ts";
import { PERMIT_CASES } from "./permit-cases.ts";
import { TRANSACTION_CASES } from "./transaction-cases.ts";

/** The tests. */
export const COMPLIANCE: readonly ComplianceCase[] = [
  ...PERMIT_CASES,
  ...OVERLAP_CASES,
  ...TRANSACTION_CASES,
  ...LIMIT_CASES,
];
