/** Why a plan did not come into force, in the three words that the model understands. */
import { FirewallError } from "../../base/index.ts";
import type { KernelAnswer } from "../../netlink/index.ts";
import { errnoName, errnoText, type Nftables } from "../../system/index.ts";
import type { ChainPlan } from "./chain-plan.ts";

/**
 * `BACKEND_REFUSED`: this plan cannot be carried out. `BACKEND_DRIFTED`: the filter does not hold what the
 * plan builds on. `BACKEND_UNAVAILABLE`: it may work a moment later.
 */
export type PlanFailureCode = "BACKEND_REFUSED" | "BACKEND_DRIFTED" | "BACKEND_UNAVAILABLE";

/** What the kernel says when it is short of something for the moment. */
const PASSING: readonly string[] = ["EAGAIN", "EBUSY", "EINTR", "ENOBUFS", "ENOMEM"];

/** What it says when something that we build on is gone. */
const GONE = "ENOENT";

function codeFor(errno: string): PlanFailureCode {
  if (errno === GONE) return "BACKEND_DRIFTED";
  return PASSING.includes(errno) ? "BACKEND_UNAVAILABLE" : "BACKEND_REFUSED";
}

/** The failure for a plan that the kernel refused. */
export function failureOf(answer: KernelAnswer): FirewallError {
  const errno = errnoName(answer.errno);
  const words = answer.text === "" ? errnoText(answer.errno) : answer.text;
  const message = `The kernel refuses the change of the pinholes: ${words} (${errno}).`;
  return new FirewallError(codeFor(errno), message, {
    details: { errno, kernelText: answer.text, sequence: answer.sequence, offset: answer.offset },
  });
}

/** The same for a failure on the way to the kernel. */
function translate(error: unknown): unknown {
  if (!(error instanceof FirewallError)) return error;
  const { code, message, details } = error;
  if (code === "NETLINK_SEND" || code === "NETLINK_RECEIVE") {
    const failure = codeFor(String(details["errno"]));
    return new FirewallError(failure, message, { details, cause: error });
  }
  if (code === "NFTABLES_REFUSED" && message.includes("No such file or directory")) {
    return new FirewallError("BACKEND_DRIFTED", message, { details, cause: error });
  }
  return error;
}

/**
 * The failure to say when our rules are refused because there is no chain for what pinholes permit; undefined
 * when it is there, or none was asked for.
 */
export function targetFailure({ table, target }: ChainPlan, nftables: Nftables): FirewallError | undefined {
  if (target === undefined || target === "accept") return undefined;
  try {
    nftables.run(`list chain inet ${table} ${target}`);
    return undefined;
  } catch (cause) {
    const message =
      `There is no chain "${target}" in the table inet ${table} for what pinholes permit. ` +
      `Make it first: nft 'add table inet ${table}; add chain inet ${table} ${target}'`;
    return new FirewallError("BACKEND_DRIFTED", message, { details: { table, target }, cause });
  }
}

/** Does work as a promise, with the failures of a backend. It begins at once. */
export async function attempt<Result>(work: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw translate(error);
  }
}
