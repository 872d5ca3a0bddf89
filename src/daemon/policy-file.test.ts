import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { compileSource, loadPolicy, readPolicySource } from "./policy-file.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-policy-file-"));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

describe("reading a policy file", () => {
  test("gives its text and its absolute path", () => {
    const file = write("good.json", '{"INPUT": []}');
    assert.deepEqual(readPolicySource(file), { file, text: '{"INPUT": []}' });
  });

  test("larger than one chunk", () => {
    const text = `{"INPUT": []}${" ".repeat(700_000)}`;
    assert.equal(readPolicySource(write("long.json", text)).text, text);
  });

  const huge = write("huge.json", "");
  truncateSync(huge, 64 * 1024 * 1024 + 1);
  const fifo = join(folder, "fifo");
  execFileSync("mkfifo", [fifo]);
  const refused: readonly (readonly [string, string, RegExp])[] = [
    ["a device without end", "/dev/zero", /it is no regular file/],
    ["a FIFO that nobody writes to", fifo, /it is no regular file/],
    ["a folder", folder, /it is no regular file/],
    ["a file that is too large", huge, /it is larger than 67108864 bytes/],
    ["a file that is not UTF-8", write("latin.json", ""), /cannot read the policy/],
    ["a file that is not there", join(folder, "none"), /none: there is no such file/],
  ];
  writeFileSync(join(folder, "latin.json"), Uint8Array.of(0x7b, 0xe4, 0x7d));
  for (const [name, file, message] of refused) {
    test(`${name} is refused at once`, () => {
      assert.throws(() => readPolicySource(file), { code: "POLICY_UNREADABLE", message });
    });
  }
});

describe("modules that cannot be loaded", () => {
  test("are findings with their place, beside all others", async () => {
    write("throws.mjs", "throw new Error('not today');");
    write("empty.mjs", "");
    const text = `{
  "settings": {
    "modules": [
      "./missing.mjs",
      "./throws.mjs",
      "./empty.mjs"
    ]
  },
  "default_chain": "NOWHERE"
}`;
    const { policy, problems } = await compileSource({ file: join(folder, "policy.json"), text });
    assert.equal(policy, undefined);
    assert.deepEqual(
      problems.map(({ severity, code, path, line, column }) => ({ severity, code, path, line, column })),
      [
        ...[0, 1, 2].map((index) => ({
          severity: "error",
          code: "module-unloadable",
          path: `$.settings.modules[${index}]`,
          line: 4 + index,
          column: 7,
        })),
        { severity: "error", code: "unknown-chain", path: "$.default_chain", line: 9, column: 20 },
      ],
    );
    const says = [/no such file/, /not today/, /exports no function as default/];
    for (const [index, pattern] of says.entries()) assert.match(problems[index]?.message ?? "", pattern);
  });

  test("make the policy invalid, and one error is one error", async () => {
    const text = '{"settings": {"modules": ["./missing.mjs"]}}';
    await assert.rejects(loadPolicy({ file: join(folder, "policy.json"), text }), {
      code: "POLICY_INVALID",
      message: /\(1 error\)/,
    });
  });
});
