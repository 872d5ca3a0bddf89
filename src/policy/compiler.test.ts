/** One row per kind of problem: the place of a marked spot in the text must be the place that is reported. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type CompileOptions, compilePolicy, formatProblem, type Problem, policyModules } from "./index.ts";

/** A text in which `¦` marks the place of the problem, and what must be said of it. */
interface Row {
  readonly name: string;
  readonly text: string;
  readonly code: Problem["code"];
  readonly path: string;
  readonly says: RegExp;
  /** Default error. */
  readonly severity?: Problem["severity"];
}

const USERS = { userId: (name: string) => (name === "alice" ? 1000 : undefined), groupId: () => undefined };

function compile(text: string, options: Partial<CompileOptions> = {}): Problem[] {
  return compilePolicy(text, { file: "policy.json", users: USERS, ...options }).problems;
}

/** Line and column of the mark, and the text without it. */
function unmark(marked: string): { text: string; line: number; column: number } {
  const at = marked.indexOf("¦");
  const before = marked.slice(0, at).split("\n");
  return { text: marked.replace("¦", ""), line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

function checkRow(row: Row): void {
  const { text, line, column } = unmark(row.text);
  const problems = compile(text);
  const found = problems.filter((problem) => problem.code === row.code);
  const shown = problems.map(formatProblem).join("\n");
  assert.equal(found.length, 1, `one problem ${row.code}, found:\n${shown}`);
  const { path, message, severity, line: foundLine, column: foundColumn } = found[0] as Problem;
  assert.deepEqual({ path, line: foundLine, column: foundColumn }, { path: row.path, line, column }, shown);
  assert.match(message, row.says);
  assert.equal(severity, row.severity ?? "error");
}

const rule = (text: string): string => `{\n  // a comment\n  "INPUT": [\n    ${text}\n  ],\n}`;

const ERRORS: readonly Row[] = [
  { name: "no JSON at all", text: "¦hello", code: "syntax", path: "$", says: /no JSON value/ },
  { name: "no object", text: "¦[]", code: "wrong-type", path: "$", says: /one JSON object; found a list/ },
  {
    name: "a comma missing",
    text: '{"INPUT": [] ¦"A": []}',
    code: "syntax",
    path: "$",
    says: /a comma is missing/,
  },
  { name: "a brace missing", text: '{"INPUT": []¦', code: "syntax", path: "$", says: /closing brace/ },
  {
    name: "a key twice",
    text: '{"A": [],\n ¦"A": []}',
    code: "duplicate-key",
    path: "$.A",
    says: /"A" stands here a second time/,
  },
  {
    name: "an argument twice",
    text: rule('{"name": "TrueRule", "action": "DROP", ¦"action": "ACCEPT"}'),
    code: "duplicate-key",
    path: "$.INPUT[0].action",
    says: /second time/,
  },
  {
    name: "a chain that is no list",
    text: '{"INPUT": ¦{}}',
    code: "wrong-type",
    path: "$.INPUT",
    says: /list of rules/,
  },
  {
    name: "a misspelt top-level name",
    text: '{"default_chian": ¦"DROP"}',
    code: "wrong-type",
    path: "$.default_chian",
    says: /Did you mean "default_chain"\?/,
  },
  {
    name: "default_chain of a wrong type",
    text: '{"default_chain": ¦1}',
    code: "wrong-type",
    path: "$.default_chain",
    says: /number 1/,
  },
  {
    name: "an unknown default chain",
    text: '{"default_chain": ¦"drop"}',
    code: "unknown-chain",
    path: "$.default_chain",
    says: /Did you mean "DROP"\?/,
  },
  {
    name: "RETURN as default",
    text: '{"default_chain": ¦"RETURN"}',
    code: "loop",
    path: "$.default_chain",
    says: /nothing to return to/,
  },
  {
    name: "$schema of a wrong type",
    text: '{"$schema": ¦1}',
    code: "wrong-type",
    path: "$.$schema",
    says: /address of a schema/,
  },
  {
    name: "a rule that is no object",
    text: rule('¦"TrueRule"'),
    code: "wrong-type",
    path: "$.INPUT[0]",
    says: /a rule is an object/,
  },
  {
    name: "a rule without a name",
    text: rule("¦{}"),
    code: "missing-argument",
    path: "$.INPUT[0]",
    says: /"name" is missing/,
  },
  {
    name: "an unknown rule",
    text: rule('{"name": ¦"portrule"}'),
    code: "unknown-rule",
    path: "$.INPUT[0].name",
    says: /Did you mean "PortRule"\?/,
  },
  {
    name: "an unknown argument",
    text: rule('{"name": "PortRule", "protocol": "TCP", "dst_port": 1, ¦"srcport": 5}'),
    code: "unknown-argument",
    path: "$.INPUT[0].srcport",
    says: /Did you mean "src_port"\?/,
  },
  {
    name: "a missing argument",
    text: rule('¦{"name": "SourceIPRule", "action": "DROP"}'),
    code: "missing-argument",
    path: "$.INPUT[0]",
    says: /"cidr_range" is missing/,
  },
  {
    name: "a wrong network",
    text: rule('{"name": "SourceIPRule", "cidr_range": ¦"10.0.0.0/33", "action": "DROP"}'),
    code: "wrong-type",
    path: "$.INPUT[0].cidr_range",
    says: /10\.0\.0\.0\/33/,
  },
  {
    name: "a wrong protocol",
    text: rule('{"name": "PortRule", "protocol": ¦"tcp", "dst_port": 1}'),
    code: "wrong-type",
    path: "$.INPUT[0].protocol",
    says: /Did you mean "TCP"\?/,
  },
  {
    name: "a port as a string",
    text: rule('{"name": "PortRule", "protocol": "TCP", "dst_port": ¦"22"}'),
    code: "wrong-type",
    path: "$.INPUT[0].dst_port",
    says: /write 22 without quotes/,
  },
  {
    name: "a port out of range",
    text: rule('{"name": "PortRule", "protocol": "TCP", "dst_port": ¦65536}'),
    code: "out-of-range",
    path: "$.INPUT[0].dst_port",
    says: /65536 is out of range/,
  },
  {
    name: "a port with a fraction",
    text: rule('{"name": "PortRule", "protocol": "TCP", "dst_port": ¦1.5}'),
    code: "wrong-type",
    path: "$.INPUT[0].dst_port",
    says: /integer/,
  },
  {
    name: "a PortRule without ports",
    text: rule('¦{"name": "PortRule", "protocol": "TCP"}'),
    code: "invalid-argument",
    path: "$.INPUT[0]",
    says: /src_port/,
  },
  {
    name: "half a pair of ports",
    text: rule('¦{"name": "PortRangeRule", "protocol": "TCP", "src_lo": 1}'),
    code: "invalid-argument",
    path: "$.INPUT[0]",
    says: /Invalid source port range/,
  },
  {
    name: "a range upside down",
    text: rule('{"name": "PortRangeRule", "protocol": "TCP", "dst_lo": ¦9, "dst_hi": 8}'),
    code: "invalid-argument",
    path: "$.INPUT[0].dst_lo",
    says: /Invalid destination port range/,
  },
  {
    name: "an IPPortRule with addresses only",
    text: rule('¦{"name": "IPPortRule", "protocol": "TCP", "src_ip": "10/8", "action": "DROP"}'),
    code: "invalid-argument",
    path: "$.INPUT[0]",
    says: /port range is missing/,
  },
  {
    name: "both lists of states",
    text: rule(
      '{"name": "TCPStateRule", "match_if": ["CLOSED"], "match_if_not": ¦["CLOSED"], "action": "DROP"}',
    ),
    code: "invalid-argument",
    path: "$.INPUT[0].match_if_not",
    says: /not both/,
  },
  {
    name: "no list of states",
    text: rule('¦{"name": "TCPStateRule", "match_if": [], "action": "DROP"}'),
    code: "invalid-argument",
    path: "$.INPUT[0]",
    says: /at least one state/,
  },
  {
    name: "an unknown state",
    text: rule('{"name": "TCPStateRule", "match_if": ["CLOSED", ¦"ESTABLISH"], "action": "DROP"}'),
    code: "unknown-state",
    path: "$.INPUT[0].match_if[1]",
    says: /Did you mean "ESTABLISHED"\?/,
  },
  {
    name: "an action missing",
    text: rule('¦{"name": "TCPRule"}'),
    code: "missing-action",
    path: "$.INPUT[0]",
    says: /"action" is missing/,
  },
  {
    name: "an action that is null",
    text: rule('{"name": "PortRule", "protocol": "TCP", "dst_port": 1, "action": ¦null}'),
    code: "missing-action",
    path: "$.INPUT[0].action",
    says: /"action" is missing/,
  },
  {
    name: "an action of a wrong type",
    text: rule('{"name": "TCPRule", "action": ¦true}'),
    code: "wrong-type",
    path: "$.INPUT[0].action",
    says: /name of a chain/,
  },
  {
    name: "an unknown target",
    text: rule('{"name": "TCPRule", "action": ¦"Drop"}'),
    code: "unknown-chain",
    path: "$.INPUT[0].action",
    says: /Did you mean "DROP"\?/,
  },
  {
    name: "an action where there can be none",
    text: rule('{"name": "LogRule", ¦"action": "DROP"}'),
    code: "unknown-argument",
    path: "$.INPUT[0].action",
    says: /takes no "action"/,
  },
  {
    name: '"not" of a wrong type',
    text: rule('{"name": "TCPRule", "action": "DROP", "not": ¦"yes"}'),
    code: "wrong-type",
    path: "$.INPUT[0].not",
    says: /true or false/,
  },
  {
    name: '"comment" of a wrong type',
    text: rule('{"name": "TCPRule", "action": "DROP", "comment": ¦1}'),
    code: "wrong-type",
    path: "$.INPUT[0].comment",
    says: /a string/,
  },
  {
    name: "a chain that jumps to itself",
    text: '{"INPUT": [{"name": "TCPRule", "action": ¦"INPUT"}]}',
    code: "loop",
    path: "$.INPUT[0].action",
    says: /INPUT -> INPUT/,
  },
  {
    name: "a loop through three chains",
    text:
      '{"INPUT": [{"name": "TCPRule", "action": "a"}], "a": [{"name": ' +
      '"TCPRule", "action": "b"}],\n"b": [{"name": "UDPRule", "action": ¦"a"}]}',
    code: "loop",
    path: "$.b[0].action",
    says: /a -> b, b -> a/,
  },
  {
    name: "a default chain that can end",
    text: '{"default_chain": ¦"last", "last": [{"name": "TCPRule", "action": "DROP"}]}',
    code: "loop",
    path: "$.default_chain",
    says: /last -> \(end of chain\) -> last; end chain last with a rule that takes every packet/,
  },
  {
    name: "a loop through the default chain",
    text:
      '{"default_chain": ¦"last", "last": [{"name": "TCPRule", ' +
      '"action": "sub"}, {"name": "TrueRule", "action": "DROP"}], "sub": []}',
    code: "loop",
    path: "$.default_chain",
    says: /last -> sub, sub -> \(end of chain\) -> last/,
  },
  {
    name: "a default chain that returns",
    text: '{"default_chain": ¦"last", "last": [{"name": "ReturnRule"}]}',
    code: "loop",
    path: "$.default_chain",
    says: /go round for ever/,
  },
  {
    name: "an unknown user",
    text: '{"OUTPUT": [{"name": "UserRule", "user": ¦"bob", "action": "DROP"}]}',
    code: "unknown-user",
    path: "$.OUTPUT[0].user",
    says: /no user "bob"/,
  },
  {
    name: "a door that is none",
    text: rule(
      '{"name": "PortKnocking", "protocol": "TCP", "port": 1, "src_port": 1, "doors": [["TCP", ¦65536]]}',
    ),
    code: "out-of-range",
    path: "$.INPUT[0].doors[0][1]",
    says: /65536/,
  },
  {
    name: "a door that is no pair",
    text: rule('{"name": "PortKnocking", "protocol": "TCP", "port": 1, "src_port": 1, "doors": [¦["TCP"]]}'),
    code: "wrong-type",
    path: "$.INPUT[0].doors[0]",
    says: /a pair/,
  },
  {
    name: "no doors",
    text: rule('{"name": "PortKnocking", "protocol": "TCP", "port": 1, "src_port": 1, "doors": ¦[]}'),
    code: "out-of-range",
    path: "$.INPUT[0].doors",
    says: /1 to 64 elements/,
  },
  {
    name: "a timeout of zero",
    text: rule(
      '{"name": "PortKnocking", "protocol": "TCP", "port": ' +
        '1, "src_port": 1, "timeout": ¦0, "doors": [["TCP", 1]]}',
    ),
    code: "out-of-range",
    path: "$.INPUT[0].timeout",
    says: /0 is out of range/,
  },
  {
    name: "knocking without a protected port",
    text: rule('¦{"name": "PortKnocking", "protocol": "TCP", "src_port": 1, "doors": [["TCP", 1]]}'),
    code: "invalid-argument",
    path: "$.INPUT[0]",
    says: /nothing ever opens/,
  },
  {
    name: "compatible knocking without a source port",
    text: rule('¦{"name": "PortKnocking", "protocol": "TCP", "port": 1, "doors": [["TCP", 1]]}'),
    code: "invalid-argument",
    path: "$.INPUT[0]",
    says: /no knock ever counts/,
  },
  {
    name: "an ICMP number without its version",
    text: rule('{"name": "ICMPRule", "type": ¦8, "action": "DROP"}'),
    code: "invalid-argument",
    path: "$.INPUT[0].type",
    says: /number their types differently/,
  },
  {
    name: "an unknown ICMP type",
    text: rule('{"name": "ICMPRule", "type": ¦"echo-requst", "action": "DROP"}'),
    code: "invalid-argument",
    path: "$.INPUT[0].type",
    says: /Did you mean "echo-request"\?/,
  },
  {
    name: "an ICMP type and code that never meet",
    text: rule('¦{"name": "ICMPRule", "type": "redirect", "code": "port-unreachable", "action": "DROP"}'),
    code: "invalid-argument",
    path: "$.INPUT[0]",
    says: /no message/,
  },
  {
    name: "an interface name too long",
    text: rule('{"name": "InterfaceRule", "in": ¦"a-very-long-interface", "action": "DROP"}'),
    code: "wrong-type",
    path: "$.INPUT[0].in",
    says: /at most 15 characters/,
  },
  {
    name: "an unknown setting",
    text: '{"settings": {¦"failmode": "open"}}',
    code: "unknown-setting",
    path: "$.settings.failmode",
    says: /Did you mean "failMode"\?/,
  },
  {
    name: "a limit outside limits",
    text: '{"settings": {"limits": {"copyRangeBytes": 128}, ¦"copyRangeBytes": 256}}',
    code: "unknown-setting",
    path: "$.settings.copyRangeBytes",
    says: /no setting "copyRangeBytes"/,
  },
  {
    name: "a chain of PyWall's with the name of a target in PyWall compatibility",
    text: '{"settings": {"compatibility": "pywall"}, ¦"REJECT": [{"name": "TrueRule", "action": "ACCEPT"}]}',
    code: "reserved-chain",
    path: "$.REJECT",
    says: /in PyWall REJECT is this chain.*another name/,
  },
  {
    name: "a comment beside the chains",
    text: '{"comment": ¦"mine"}',
    code: "wrong-type",
    path: "$.comment",
    says: /Comments stand behind \/\//,
  },
  {
    name: "settings that are a list",
    text: '{"settings": ¦[]}',
    code: "wrong-type",
    path: "$.settings",
    says: /object of settings/,
  },
  {
    name: "an unknown limit",
    text: '{"settings": {"limits": {¦"flow": 100}}}',
    code: "unknown-setting",
    path: "$.settings.limits.flow",
    says: /Did you mean "flows"\?/,
  },
  {
    name: "a limit out of range",
    text: '{"settings": {"limits": {"flows": ¦1}}}',
    code: "out-of-range",
    path: "$.settings.limits.flows",
    says: /16 to 16777216 flows/,
  },
  {
    name: "an outcome that is no verdict",
    text: '{"settings": {"outcomes": {"malformed": ¦"REJECT"}}}',
    code: "wrong-type",
    path: "$.settings.outcomes.malformed",
    says: /"ACCEPT" or "DROP"/,
  },
  {
    name: "a mark mask of one bit",
    text: '{"settings": {"markMask": ¦"0x10000000"}}',
    code: "wrong-type",
    path: "$.settings.markMask",
    says: /at least 3 adjacent bits/,
  },
];

/** Errors about address tables. */
const TABLE_ERRORS: readonly Row[] = [
  {
    name: "tables that are no object",
    text: '{"settings": {"tables": ¦[]}}',
    code: "wrong-type",
    path: "$.settings.tables",
    says: /object of address tables/,
  },
  {
    name: "a table name that is none",
    text: '{"settings": {"tables": {¦"1st": {}}}}',
    code: "invalid-argument",
    path: '$.settings.tables["1st"]',
    says: /"1st" is no table name/,
  },
  {
    name: "an unknown member of a table",
    text: '{"settings": {"tables": {"a": {¦"adresses": []}}}}',
    code: "unknown-setting",
    path: "$.settings.tables.a.adresses",
    says: /Did you mean "addresses"\?/,
  },
  {
    name: "an address that is none",
    text: '{"settings": {"tables": {"a": {"addresses": ["10.0.0.0/8", ¦"10.0.0.0/33"]}}}}',
    code: "table-entry",
    path: "$.settings.tables.a.addresses[1]",
    says: /"10.0.0.0\/33" is no entry/,
  },
  {
    name: "a table larger than the limit",
    text: '{"settings": {"limits": {"tableEntries": 10}, "tables": {¦"a": {"capacity": 11}}}}',
    code: "out-of-range",
    path: "$.settings.tables.a",
    says: /asks for 11 entries; limits.tableEntries allows 10/,
  },
  {
    name: "more addresses than fit",
    text: '{"settings": {"tables": {¦"a": {"capacity": 1, "addresses": ["::1", "::2"]}}}}',
    code: "out-of-range",
    path: "$.settings.tables.a",
    says: /has 2 addresses and a capacity of 1/,
  },
  {
    name: "more tables than the limit",
    text: '{"settings": {"limits": {"tables": 1}, "tables": {"a": {}, ¦"b": {}}}}',
    code: "out-of-range",
    path: "$.settings.tables.b",
    says: /2 tables are declared; limits.tables allows 1/,
  },
  {
    name: "a rule with a table that is not declared",
    text: '{"settings": {"tables": {"blocked": {}}}, "INPUT": [{"name": "TableRule", "table": ¦"bloked", "action": "DROP"}]}',
    code: "unknown-table",
    path: "$.INPUT[0].table",
    says: /no table "bloked". Did you mean "blocked"\?/,
  },
  {
    name: "a rule with a table where none is declared",
    text: '{"INPUT": [{"name": "TableRule", "table": ¦"t", "action": "DROP"}]}',
    code: "unknown-table",
    path: "$.INPUT[0].table",
    says: /settings.tables declares none/,
  },
];

const WARNINGS: readonly Row[] = [
  {
    name: "an old name",
    text:
      '{"settings": {"compatibility": "strict"}, "INPUT": ' +
      '[{"name": ¦"PortFilter", "protocol": "UDP", "dst_port": 1}]}',
    code: "old-name",
    path: "$.INPUT[0].name",
    says: /write PortRule/,
    severity: "warning",
  },
  {
    name: "a PortRule that PyWall reads otherwise",
    text: rule('¦{"name": "PortRule", "protocol": "UDP", "dst_port": 53}'),
    code: "pywall-difference",
    path: "$.INPUT[0]",
    says: /PyWall would match TCP packets with these ports too/,
    severity: "warning",
  },
  {
    name: "a chain of PyWall's that is a hook here",
    text: '{"INPUT": [{"name": "TCPRule", "action": "OUTPUT"}],\n ¦"OUTPUT": []}',
    code: "pywall-difference",
    path: "$.OUTPUT",
    says: /packets that this host sends start in chain OUTPUT/,
    severity: "warning",
  },
  {
    name: "a default chain of PyWall's that is a hook here",
    text: '{"default_chain": "FORWARD", ¦"FORWARD": [{"name": "TrueRule", "action": "ACCEPT"}]}',
    code: "pywall-difference",
    path: "$.FORWARD",
    says: /packets that cross this host start/,
    severity: "warning",
  },
  {
    name: "a default that refuses IPv6 too",
    text: '{"default_chain": ¦"DROP", "INPUT": [{"name": "TCPRule", "action": "ACCEPT"}]}',
    code: "pywall-difference",
    path: "$.default_chain",
    says: /neighbour discovery included.*PyWall never filters IPv6/,
    severity: "warning",
  },
  {
    name: "a last rule that refuses IPv6 too",
    text: rule('¦{"name": "TrueRule", "action": "REJECT"}'),
    code: "pywall-difference",
    path: "$.INPUT[0]",
    says: /PyWall never filters IPv6/,
    severity: "warning",
  },
  {
    name: "a knock's body",
    text: rule(
      '{"name": "PortKnocking", "protocol": "TCP", "port": ' +
        '1, "src_port": 1, "doors": [["TCP", 1]], ¦"body": "x"}',
    ),
    code: "ignored-argument",
    path: "$.INPUT[0].body",
    says: /the content of a knock does not count/,
    severity: "warning",
  },
  {
    name: "an action for PortKnocking",
    text: rule(
      '{"name": "PortKnocking", "protocol": "TCP", "port": ' +
        '1, "src_port": 1, "doors": [["TCP", 1]], ¦"action": "x"}',
    ),
    code: "ignored-argument",
    path: "$.INPUT[0].action",
    says: /no effect on PortKnocking/,
    severity: "warning",
  },
  {
    name: "an action for PrintRule",
    text: rule('{"name": "PrintRule", ¦"action": "DROP"}'),
    code: "ignored-argument",
    path: "$.INPUT[0].action",
    says: /no effect on PrintRule/,
    severity: "warning",
  },
  {
    name: '"not" where it changes nothing',
    text: rule('{"name": "PrintRule", ¦"not": true}'),
    code: "ignored-argument",
    path: "$.INPUT[0].not",
    says: /no effect/,
    severity: "warning",
  },
  {
    name: "a chain with the name of a verdict",
    text: '{¦"DROP": []}',
    code: "reserved-chain",
    path: "$.DROP",
    says: /built-in target/,
    severity: "warning",
  },
  {
    name: "a chain that nobody names",
    text: '{¦"orphan": []}',
    code: "unreachable-chain",
    path: "$.orphan",
    says: /no packet comes to chain "orphan"/,
    severity: "warning",
  },
  {
    name: "rules behind one that takes everything",
    text: rule('{"name": "TrueRule", "action": "DROP"},\n¦{"name": "TCPRule", "action": "ACCEPT"}'),
    code: "unreachable-rule",
    path: "$.INPUT[1]",
    says: /rule 0 of chain INPUT matches every packet/,
    severity: "warning",
  },
  {
    name: "UserRule away from OUTPUT",
    text: rule('¦{"name": "UserRule", "user": "alice", "action": "DROP"}'),
    code: "never-matches",
    path: "$.INPUT[0]",
    says: /chain OUTPUT/,
    severity: "warning",
  },
  {
    name: "a missing action in PyWall compatibility",
    text: '{"settings": {"compatibility": "pywall"}, "INPUT": [¦{"name": "TCPRule"}]}',
    code: "missing-action",
    path: "$.INPUT[0]",
    says: /never acts/,
    severity: "warning",
  },
  {
    name: "an unknown argument in PyWall compatibility",
    text:
      '{"settings": {"compatibility": "pywall"}, "INPUT": ' +
      '[{"name": "TCPRule", "action": "DROP", ¦"ports": 1}]}',
    code: "unknown-argument",
    path: "$.INPUT[0].ports",
    says: /ignored/,
    severity: "warning",
  },
  {
    name: "a port as a string in PyWall compatibility",
    text:
      '{"settings": {"compatibility": "pywall"}, "INPUT": ' +
      '[{"name": "PortRule", "protocol": "UDP", "dst_port": ¦"53"}]}',
    code: "never-matches",
    path: "$.INPUT[0].dst_port",
    says: /never matches/,
    severity: "warning",
  },
  {
    name: "an unknown state in PyWall compatibility",
    text:
      '{"settings": {"compatibility": "pywall"}, "INPUT": ' +
      '[{"name": "TCPStateRule", "match_if": [¦"OPEN"], "action": "DROP"}]}',
    code: "never-matches",
    path: "$.INPUT[0].match_if[0]",
    says: /no TCP state "OPEN"/,
    severity: "warning",
  },
];

describe("errors, each with its place", () => {
  for (const row of [...ERRORS, ...TABLE_ERRORS]) test(row.name, () => checkRow(row));
});

describe("warnings, each with its place", () => {
  for (const row of WARNINGS) test(row.name, () => checkRow(row));
});

test("all problems come at once, in the order of the file", () => {
  const problems = compile(`{
    "default_chain": "NOWHERE",
    "settings": {"failMode": "maybe"},
    "INPUT": [
      {"name": "NoRule"},
      {"name": "PortRule", "protocol": "ICMP", "dst_port": -1, "extra": 1, "action": "GONE"},
      {"name": "TCPRule"}
    ]
  }`);
  assert.deepEqual(
    problems.map(({ code, line }) => `${line} ${code}`),
    [
      "2 unknown-chain",
      "3 wrong-type",
      "5 unknown-rule",
      "6 wrong-type",
      "6 out-of-range",
      "6 unknown-argument",
      "6 unknown-chain",
      "7 missing-action",
    ],
  );
});

test("members that every JavaScript object inherits are unknown arguments", () => {
  for (const name of ["TrueRule", "PrintRule"]) {
    const members = ["constructor", "toString", "valueOf", "hasOwnProperty", "__proto__"];
    const text = `{"INPUT": [{"name": "${name}", ${name === "TrueRule" ? '"action": "ACCEPT", ' : ""}
      ${members.map((member) => `"${member}": 1`).join()}}]}`;
    const found = compile(text).map(({ severity, code, path }) => `${severity} ${code} ${path}`);
    const wanted = members.map((member) => `error unknown-argument $.INPUT[0].${member}`);
    assert.deepEqual(found, wanted);
  }
});

test("modules that could not be loaded are problems beside all others, each at its place", () => {
  const text = `{"settings": {"modules": [7, "./a.js", "./b.js"], "failMode": "maybe"},
    "default_chain": "NOWHERE"}`;
  const moduleFaults = new Map([[2, "cannot load the rules of ./b.js: there is none"]]);
  const found = compile(text, { moduleFaults }).map(({ code, path }) => `${code} ${path}`);
  assert.deepEqual(found, [
    "wrong-type $.settings.modules[0]",
    "module-unloadable $.settings.modules[2]",
    "wrong-type $.settings.failMode",
    "unknown-chain $.default_chain",
  ]);
  assert.deepEqual(
    policyModules(text).map(({ index }) => index),
    [1, 2],
  );
});

test("after a missing comma the rest is checked as well", () => {
  const codes = compile('{"INPUT": [{"name": "TCPRule" "action": "NOWHERE"}]}').map(({ code }) => code);
  assert.deepEqual(codes, ["syntax", "unknown-chain"]);
});

test("a message names file, line, column, severity and path", () => {
  const [problem] = compile('{"default_chain": "NOWHERE"}');
  assert.ok(problem);
  assert.equal(
    formatProblem(problem),
    'policy.json:1:19: error: there is no chain "NOWHERE". Chains ' +
      "are named exactly, upper and lower case count. ($.default_chain)",
  );
});

test("comments, trailing commas and a byte order mark are accepted", () => {
  const text = '\uFEFF// head\n{ /* chains */ "INPUT": [{"name": "TrueRule", "action": "ACCEPT",},], }';
  assert.deepEqual(compile(text), []);
});

test("differences to PyWall are news only while the file does not say what it wants", () => {
  const input = '"INPUT": [{"name": "PortRule", "protocol": "UDP", "dst_port": 53}]';
  assert.deepEqual(compile(`{"settings": {"compatibility": "strict"}, ${input}}`), []);
  assert.deepEqual(compile(`{"settings": {"compatibility": "pywall"}, ${input}}`), []);
  assert.equal(compile(`{"settings": {"failMode": "open"}, ${input}}`).length, 1);
});

test("what differs in the file as a whole is no news once it says what it wants", () => {
  const rest = `"default_chain": "DROP", "INPUT": [{"name": "TCPRule", "action": "OUTPUT"}], "OUTPUT": []`;
  for (const compatibility of ["strict", "pywall"])
    assert.deepEqual(compile(`{"settings": {"compatibility": "${compatibility}"}, ${rest}}`), []);
  assert.deepEqual(
    compile(`{${rest}}`).map(({ code, path }) => `${code} ${path}`),
    ["pywall-difference $.default_chain", "pywall-difference $.OUTPUT"],
  );
});

test("a chain that is no list is no chain out of reach as well", () => {
  const codes = compile('{"comment": "mine"}').map(({ code }) => code);
  assert.deepEqual(codes, ["wrong-type"]);
});

test("a wrong rule does not bring on follow-up problems", () => {
  const text = `{"default_chain": "last", "last": [{"name": "TrueRul", "action": "DROP"}], "sub": [],
    "INPUT": [{"name": "TCPRul", "action": "sub"}]}`;
  assert.deepEqual(
    compile(text).map(({ code }) => code),
    ["unknown-rule", "unknown-rule"],
  );
});

test("rules may name a table whose declaration is wrong", () => {
  const text = `{"settings": {"tables": {"a": {"addresses": ["x"]}}},
    "INPUT": [{"name": "TableRule", "table": "a", "action": "DROP"}]}`;
  assert.deepEqual(
    compile(text).map(({ code }) => code),
    ["table-entry"],
  );
});

test("policies that cost too much per packet are refused", () => {
  const chains: Record<string, object[]> = {};
  for (let level = 0; level < 20; level += 1) {
    const jump = { name: "TrueRule", action: level < 19 ? `c${level + 1}` : "RETURN" };
    const back = { name: "TCPRule", action: "RETURN" };
    chains[level === 0 ? "INPUT" : `c${level}`] = [
      { ...jump, not: true },
      { name: "UDPRule", action: jump.action },
      back,
    ];
  }
  const codes = compile(JSON.stringify(chains)).map(({ code }) => code);
  assert.deepEqual(codes, ["too-many-steps"]);
});

test("a long row of jumps is no problem", () => {
  const chains: Record<string, object[]> = { INPUT: [{ name: "TrueRule", action: "c0" }] };
  for (let level = 0; level < 1000; level += 1) {
    chains[`c${level}`] = [{ name: "TrueRule", action: level < 999 ? `c${level + 1}` : "ACCEPT" }];
  }
  assert.deepEqual(compile(JSON.stringify(chains)), []);
});

test("settings have defaults and can all be set", () => {
  const { policy } = compilePolicy("{}", { file: "p" });
  assert.equal(policy?.settings.failMode, "closed");
  assert.equal(policy?.settings.queueBypass, false);
  assert.deepEqual(policy?.settings.outcomes, { malformed: "DROP", ruleError: "DROP" });
  assert.equal(policy?.settings.markMask, 0x7000_0000);
  const text = `{"$schema": "x", "settings": {"compatibility": "pywall", "modules": ["./a.js"],
    "failMode": "open", "queueBypass": true, "outcomes": {"malformed": "ACCEPT"}, "workers": 2,
    "limits": {"flows": 1000, "copyRangeBytes": 256}, "timeouts": {"tcp.established": 60.5},
    "strictTcp": true, "markMask": "0xE0000000",
    "tables": {"a": {"addresses": ["10.0.0.0/8"], "counters": true, "capacity": 7, "const": true}, "b": {"file": "b.txt"}}}}`;
  const set = compilePolicy(text, { file: "p" });
  assert.deepEqual(set.problems, []);
  assert.deepEqual(set.policy?.settings.outcomes, {
    malformed: "ACCEPT",
    ruleError: "DROP",
  });
  assert.equal(set.policy?.settings.limits.copyRangeBytes, 256);
  assert.equal(set.policy?.settings.limits.flows, 1000);
  assert.deepEqual(set.policy?.settings.timeouts, { "tcp.established": 60_500 });
  assert.equal(set.policy?.settings.markMask, 0xe000_0000);
  const place = (name: string, column: number): object => ({
    path: `$.settings.tables.${name}`,
    line: 5,
    column,
  });
  assert.deepEqual(set.policy?.settings.tables, [
    {
      name: "a",
      addresses: ["10.0.0.0/8"],
      file: undefined,
      counters: true,
      capacity: 7,
      const: true,
      place: place("a", 16),
    },
    {
      name: "b",
      addresses: [],
      file: "b.txt",
      counters: false,
      capacity: 200_000,
      const: false,
      place: place("b", 100),
    },
  ]);
  assert.deepEqual(policyModules(text), [{ index: 0, path: "./a.js" }]);
  assert.deepEqual(policyModules("{"), []);
});

test("memory keys stay the same when other rules change, and differ for equal rules", () => {
  const limit = '{"name": "LimitRule", "rate": 5, "action": "DROP"}';
  const same = '{"action": "DROP", "rate": 5, "comment": "x", "name": "LimitRule"}';
  const keys = (text: string): string[] =>
    compilePolicy(text, { file: "p" }).policy?.memoryNeeds.map(({ key }) => key) ?? [];
  const [first] = keys(`{"INPUT": [${limit}]}`);
  assert.deepEqual(keys(`{"INPUT": [{"name": "PrintRule"}, ${same}]}`), [first]);
  const twins = keys(`{"INPUT": [${limit}, ${same}]}`);
  assert.equal(new Set(twins).size, 2);
  assert.equal(twins[0], first);
});
