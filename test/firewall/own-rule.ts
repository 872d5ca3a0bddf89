/** A policy with a rule of one's own that does harm. */
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = new URL("../../..", import.meta.url).pathname;

/**
 * Writes a policy with a rule of one's own on UDP port 5000.
 *
 * @param body - of the rule's class
 * @param settings - more settings of the policy
 * @param chains - more chains; of INPUT what follows
 * @returns where it lies; the folder is the caller's to remove
 */
export function ownRule(
  body: string,
  settings: Readonly<Record<string, unknown>> = {},
  chains: Readonly<Record<string, readonly object[]>> = {},
): { folder: string; policyFile: string } {
  const folder = mkdtempSync(join(tmpdir(), "postern-bad-rule-"));
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules", "postern"));
  writeFileSync(
    join(folder, "bad.mjs"),
    `import { Rule } from "postern/rules";
     class BadRule extends Rule { ${body} }
     export default (registry) => registry.register("BadRule", {
       summary: "Does harm.", arguments: {}, action: "required", create: () => new BadRule(),
     });`,
  );
  const policyFile = join(folder, "policy.json");
  const policy = {
    settings: {
      compatibility: "strict",
      offload: "none",
      workers: 1,
      modules: ["./bad.mjs"],
      outcomes: { ruleError: "DROP" },
      ...settings,
    },
    ...chains,
    INPUT: [{ name: "PortRule", protocol: "UDP", dst_port: 5000, action: "OWN" }, ...(chains["INPUT"] ?? [])],
    OWN: [{ name: "BadRule", action: "ACCEPT" }],
  };
  writeFileSync(policyFile, JSON.stringify(policy));
  return { folder, policyFile };
}
