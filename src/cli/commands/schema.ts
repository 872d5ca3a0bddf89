/** `postern schema`: the JSON Schema of policy files, for editors. */
import type { Command } from "commander";
import { createRegistry, policyJsonSchema } from "../../policy/index.ts";

/** Adds `postern schema`. */
export function addSchemaCommand(program: Command): void {
  program
    .command("schema")
    .summary("print the JSON Schema of policy files")
    .description(
      'Prints the JSON Schema (draft 2020-12). Name it in a policy as "$schema" and editors complete rules.',
    )
    .option("--json", "accepted for symmetry; the schema is JSON anyway")
    .action(() => {
      process.stdout.write(`${JSON.stringify(policyJsonSchema(createRegistry()), null, 2)}\n`);
    });
}
