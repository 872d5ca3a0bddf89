/** Policies from files: reading, loading the modules they name, and compiling; on any thread the same. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { FirewallError, fileFailure } from "../base/index.ts";
import {
  compilePolicy,
  countNoun,
  createRegistry,
  formatProblem,
  type Policy,
  type Problem,
  policyModules,
  type Recogniser,
  type RuleRegistry,
  ruleToolkit,
} from "../policy/index.ts";
import { resolveGroup, resolveUser } from "../system/index.ts";
import { readBoundedText } from "./bounded-file.ts";
import type { PolicySource } from "./worker-protocol.ts";

/** A policy file that is not valid, with everything that is wrong with it. */
export class PolicyInvalidError extends FirewallError {
  readonly problems: readonly Problem[];

  /** @param problems - all findings, errors and warnings */
  constructor(file: string, problems: readonly Problem[]) {
    const errors = problems.filter((problem) => problem.severity === "error");
    const lines = errors.map((problem) => `\n  ${formatProblem(problem)}`).join("");
    super("POLICY_INVALID", `${file} is not a valid policy (${countNoun(errors.length, "error")}):${lines}`);
    this.problems = problems;
  }
}

/** A policy with the warnings about it. */
export interface LoadedPolicy {
  readonly policy: Policy;
  readonly warnings: readonly Problem[];
}

/** Largest policy file, in bytes. */
const POLICY_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Reads a policy file: a regular file of at most 64 MiB in UTF-8.
 *
 * @throws {FirewallError} `POLICY_UNREADABLE`
 */
export function readPolicySource(file: string): PolicySource {
  const path = resolve(file);
  try {
    return { file: path, text: readBoundedText(path, POLICY_BYTES_MAX) };
  } catch (cause) {
    throw fileFailure("POLICY_UNREADABLE", `cannot read the policy ${file}`, cause);
  }
}

/** Names the text of a policy: equal for equal texts. */
export function policyChecksum(text: string): string {
  return `0x${createHash("sha256").update(text).digest("hex")}`;
}

/**
 * Lets one module register its rules: it exports a function as `default`, which takes the registry and what
 * rules are made of.
 *
 * @returns why that failed, `undefined` when it did not
 */
async function loadModule(registry: RuleRegistry, path: string): Promise<string | undefined> {
  try {
    // A module is remembered by its address for the life of the thread; the time of its last change makes a
    // reload see an edited one.
    const address = `${pathToFileURL(path).href}?changed=${statSync(path).mtimeMs}`;
    const loaded = (await import(address)) as { default?: unknown };
    if (typeof loaded.default !== "function") throw new Error("it exports no function as default");
    const register = loaded.default as (registry: RuleRegistry, toolkit: typeof ruleToolkit) => unknown;
    await register(registry, ruleToolkit);
    return undefined;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return `cannot load the rules of ${path}: ${reason}`;
  }
}

/**
 * Recognisers of modules, without a policy.
 *
 * @throws {FirewallError} `MODULE_UNLOADABLE` when one of them cannot be loaded
 */
export async function loadRecognisers(files: readonly string[]): Promise<readonly Recogniser[]> {
  const registry = createRegistry();
  for (const file of files) {
    const fault = await loadModule(registry, resolve(file));
    if (fault !== undefined) throw new FirewallError("MODULE_UNLOADABLE", fault);
  }
  return registry.recognisers;
}

/**
 * Compiles a policy with all findings; loads the modules it names. A module that cannot be loaded is one of
 * the findings.
 *
 * @returns the policy, absent when a finding is an error
 */
export async function compileSource(
  source: PolicySource,
): Promise<{ policy?: Policy; problems: readonly Problem[] }> {
  const registry = createRegistry();
  const moduleFaults = new Map<number, string>();
  for (const { index, path } of policyModules(source.text)) {
    const fault = await loadModule(registry, resolve(dirname(source.file), path));
    if (fault !== undefined) moduleFaults.set(index, fault);
  }
  return compilePolicy(source.text, {
    file: source.file,
    registry,
    users: { userId: resolveUser, groupId: resolveGroup },
    moduleFaults,
  });
}

/**
 * Loads a policy that must be valid.
 *
 * @throws {PolicyInvalidError} when it is not
 */
export async function loadPolicy(source: PolicySource): Promise<LoadedPolicy> {
  const { policy, problems } = await compileSource(source);
  if (policy === undefined) throw new PolicyInvalidError(source.file, problems);
  return { policy, warnings: problems };
}
