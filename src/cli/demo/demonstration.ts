/**
 * The demonstration: a client, a firewall and a server in network namespaces of their own, real programs, and
 * at the end a table of what was expected and what happened. Nothing of the machine's own network is touched.
 */
import { fileURLToPath } from "node:url";
import { GATEWAY, startFirewall, withTopology } from "../../lab/index.ts";
import { alignTable, type Output, paint } from "../output.ts";
import { type DemoHosts, type FamilyWord, SCENARIOS, type Scenario, startServers } from "./scenarios.ts";
import { verdictText } from "./verdict-view.ts";

/** The policy that is shown. */
const POLICY = fileURLToPath(new URL("../../../examples/demo.json", import.meta.url));

/** What came of one scenario in one family. */
export interface DemoResult {
  readonly scenario: string;
  readonly family: FamilyWord;
  readonly expected: string;
  readonly happened: string;
  readonly ok: boolean;
}

/** Time for the verdicts of a scenario to be shown before the next begins, in milliseconds. */
const SETTLE_MS = 100;

const FAMILIES: readonly FamilyWord[] = ["IPv4", "IPv6"];

async function show(
  output: Output,
  hosts: DemoHosts,
  scenario: Scenario,
  family: FamilyWord,
): Promise<DemoResult> {
  const { title, expected } = scenario;
  if (!output.json) output.write(`${paint(output, "bold", `${family}  ${title}`)}\n`);
  const happened = await scenario.run(hosts, family);
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const result: DemoResult = { scenario: title, family, expected, happened, ok: happened === expected };
  if (output.json) output.write(`${JSON.stringify(result)}\n`);
  return result;
}

function resultTable(output: Output, results: readonly DemoResult[]): string {
  const rows = results.map(({ family, scenario, expected, happened, ok }) => {
    const sign = ok ? paint(output, "green", "ok") : paint(output, "red", "NO");
    return [sign, family, scenario, expected, happened];
  });
  return alignTable([["", "", "what", "expected", "happened"], ...rows]);
}

async function showAll(output: Output, hosts: DemoHosts): Promise<DemoResult[]> {
  await startServers(hosts);
  if (!output.json) output.write(`Starting the firewall: postern up ${POLICY}\n\n`);
  const firewall = await startFirewall(hosts.firewall, {
    policy: POLICY,
    words: ["--log-level", "DEBUG", "--log-json"],
  });
  firewall.program.follow((line) => {
    const text = output.json ? undefined : verdictText(output, line);
    if (text !== undefined) output.write(text);
  });
  const results: DemoResult[] = [];
  for (const scenario of SCENARIOS) {
    for (const family of FAMILIES) results.push(await show(output, hosts, scenario, family));
  }
  await firewall.stop();
  return results;
}

/**
 * Shows everything, live, and then the table.
 *
 * @returns true when all happened as expected
 */
export async function demonstrate(output: Output): Promise<boolean> {
  if (!output.json) output.write("Building three hosts in network namespaces: client - firewall - server\n");
  const results = await withTopology(GATEWAY, (hosts) => showAll(output, hosts));
  const good = results.filter((result) => result.ok).length;
  if (!output.json) {
    output.write(`\n${resultTable(output, results)}`);
    output.write(
      `\n${good} of ${results.length} happened as expected. The hosts are gone, nothing is left behind.\n`,
    );
  }
  return good === results.length;
}
