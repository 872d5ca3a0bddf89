import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findAccount, resolveGroup, resolveUser } from "./accounts.ts";
import { InterfaceNames, interfaceIndex } from "./interface-names.ts";
import { kernelRelease, parseCapabilities, readSysctl } from "./kernel-settings.ts";
import { parseNftablesErrors } from "./nftables.ts";
import { parseQueueStatistics } from "./queue-statistics.ts";
import { systemError } from "./system-error.ts";

describe("accounts", () => {
  const FILE = "root:x:0:0:root:/root:/bin/bash\nweb:x:33:33::/:\nbroken:x:many:1\n\n";

  it("are found by name", () => {
    assert.equal(findAccount(FILE, "root"), 0);
    assert.equal(findAccount(FILE, "web"), 33);
  });

  it("that are not there, or not well written, are unknown", () => {
    for (const name of ["we", "webb", "", "broken"]) assert.equal(findAccount(FILE, name), undefined);
  });

  it("may be given as numbers", () => {
    assert.equal(resolveUser("12345"), 12_345);
    assert.equal(resolveGroup("4294967295"), undefined);
    assert.equal(resolveUser("root"), 0);
  });
});

describe("interface names", () => {
  it("are looked up, believed for a second, and asked for again", () => {
    const index = interfaceIndex("lo");
    const names = new InterfaceNames();
    assert.notEqual(index, 0);
    assert.equal(names.name(index, 0), "lo");
    assert.equal(names.name(index, 999), "lo");
    assert.equal(names.name(index, 5000), "lo");
  });

  it("of interfaces that are not there are empty", () => {
    const names = new InterfaceNames();
    assert.equal(names.name(0, 0), "");
    assert.equal(names.name(0x7ffffff0, 0), "");
    assert.equal(interfaceIndex("no-such-device"), 0);
  });
});

describe("queue statistics", () => {
  it("are read from the kernel's file", () => {
    const text = [
      "    5  20245     2 2 65531     7     8       16  1",
      "   65 4163190000     0 2  128     0     0        0  1",
      "",
    ].join("\n");
    assert.deepEqual(parseQueueStatistics(text), [
      {
        queue: 5,
        port: 20245,
        waiting: 2,
        copyRangeBytes: 65531,
        queueDropped: 7,
        userDropped: 8,
        queued: 16,
      },
      {
        queue: 65,
        port: 4163190000,
        waiting: 0,
        copyRangeBytes: 128,
        queueDropped: 0,
        userDropped: 0,
        queued: 0,
      },
    ]);
  });

  it("leave out what is no line of it", () => {
    assert.deepEqual(parseQueueStatistics("\nqueue port\n1 2 3\n"), []);
  });
});

describe("the kernel's settings", () => {
  it("are files", () => {
    assert.equal(readSysctl("kernel.osrelease"), kernelRelease());
    assert.equal(readSysctl("no.such.setting"), undefined);
  });

  it("name the capabilities that matter", () => {
    const status = "Name:\tnode\nCapPrm:\t0000000000000000\nCapEff:\t0000000000203000\n";
    assert.deepEqual(parseCapabilities(status), ["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN"]);
    assert.deepEqual(parseCapabilities("Name: x"), []);
  });
});

describe("failures", () => {
  it("of the system carry call, words, name and advice", () => {
    const failure = systemError("QUEUE_REFUSED", "Cannot bind queue 5", 1, { queue: 5 });
    assert.equal(
      failure.message,
      "Cannot bind queue 5: Operation not permitted (EPERM). Run as root, or with CAP_NET_ADMIN.",
    );
    assert.equal(failure.code, "QUEUE_REFUSED");
    assert.deepEqual(failure.details, { queue: 5, errno: "EPERM" });
  });

  // Texts of nftables 1.0.6.
  it("of nftables name their place", () => {
    const syntax =
      "<cmdline>:2:11-16: Error: syntax error, unexpected string\nadd rule inet hello\n          ^^^^^^\n" +
      "<cmdline>:7:1-5: Error: Could not process rule: No such file or directory\n";
    assert.deepEqual(parseNftablesErrors(syntax), [
      { line: 2, column: 11, text: "syntax error, unexpected string" },
      { line: 7, column: 1, text: "Could not process rule: No such file or directory" },
    ]);
    assert.deepEqual(parseNftablesErrors("Error: Could not open file\n"), [
      { line: 0, column: 0, text: "Could not open file" },
    ]);
    assert.deepEqual(parseNftablesErrors(""), []);
  });
});
