/**
 * nftables in this process, through the library that the `nft` command itself is made of (libnftables).
 *
 * One run is one transaction: all commands take effect or none. The library opens its netlink socket when a
 * context is made, so a context belongs to the network namespace in which its maker was at that moment.
 */
import { writeSync } from "node:fs";
import koffi from "koffi";
import { FirewallError, invariant } from "../base/index.ts";
import { close, memfdCreate } from "./libc.ts";
import { withoutSignals } from "./signal-mask.ts";

/** Name of the library; its number is that of its binary interface, stable since 2018. */
const LIBRARY = "libnftables.so.1";

/** MFD_CLOEXEC */
const CLOSE_ON_EXEC = 1;

/** NFT_CTX_OUTPUT_JSON */
const OUTPUT_JSON = 1 << 4;

type Context = bigint;

interface Functions {
  readonly create: (flags: number) => Context;
  readonly free: (context: Context) => void;
  readonly bufferOutput: (context: Context) => number;
  readonly bufferError: (context: Context) => number;
  readonly setOutput: (context: Context, flags: number) => void;
  readonly setDryRun: (context: Context, dry: boolean) => void;
  readonly run: (context: Context, commands: string) => number;
  readonly runFile: (context: Context, path: string) => number;
  readonly output: (context: Context) => string;
  readonly error: (context: Context) => string;
}

let functions: Functions | undefined;

function load(): Functions {
  if (functions !== undefined) return functions;
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load(LIBRARY);
  } catch (cause) {
    const message = `Cannot load ${LIBRARY}. Install nftables (Debian: apt-get install libnftables1).`;
    throw new FirewallError("NFTABLES_MISSING", message, { cause });
  }
  functions = {
    create: library.func("void *nft_ctx_new(uint32_t flags)"),
    free: library.func("void nft_ctx_free(void *context)"),
    bufferOutput: library.func("int nft_ctx_buffer_output(void *context)"),
    bufferError: library.func("int nft_ctx_buffer_error(void *context)"),
    setOutput: library.func("void nft_ctx_output_set_flags(void *context, uint flags)"),
    setDryRun: library.func("void nft_ctx_set_dry_run(void *context, bool dry)"),
    run: library.func("int nft_run_cmd_from_buffer(void *context, str commands)"),
    runFile: library.func("int nft_run_cmd_from_filename(void *context, str path)"),
    output: library.func("str nft_ctx_get_output_buffer(void *context)"),
    error: library.func("str nft_ctx_get_error_buffer(void *context)"),
  };
  return functions;
}

/** One complaint of nftables. */
export interface NftablesError {
  /** Line of the commands, from 1; 0 when none is named. */
  readonly line: number;
  /** First column, from 1; 0 when none is named. */
  readonly column: number;
  /** nftables' or the kernel's own words. */
  readonly text: string;
}

/** Reads the complaints out of the library's error text. */
export function parseNftablesErrors(text: string): NftablesError[] {
  const errors: NftablesError[] = [];
  for (const match of text.matchAll(/^(?:.*?:(\d+):(\d+)(?:-\d+)?: )?Error: (.*)$/gm)) {
    errors.push({ line: Number(match[1] ?? 0), column: Number(match[2] ?? 0), text: match[3] ?? "" });
  }
  return errors;
}

/** How a run shall differ from the usual. */
export interface NftablesRun {
  /** True: output as JSON, and commands may be JSON. */
  readonly json?: boolean;
  /** True: check everything, change nothing. */
  readonly dryRun?: boolean;
}

/** A context of libnftables. */
export class Nftables {
  readonly #library: Functions;
  #context: Context | undefined;

  private constructor(library: Functions, context: Context) {
    this.#library = library;
    this.#context = context;
  }

  /**
   * @throws {FirewallError} `NFTABLES_MISSING` when the library is not installed, `NFTABLES_UNAVAILABLE` when
   *   it cannot make a context
   */
  static open(): Nftables {
    const library = load();
    const context = library.create(0);
    if (!context) throw new FirewallError("NFTABLES_UNAVAILABLE", "libnftables cannot make a context.");
    library.bufferOutput(context);
    library.bufferError(context);
    return new Nftables(library, context);
  }

  /** True when the library is installed. */
  static isInstalled(): boolean {
    try {
      load();
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Runs commands as one transaction.
   *
   * @param commands - text in nftables' language; with `json` also a JSON document of its schema
   * @returns what the commands print
   * @throws {FirewallError} `NFTABLES_REFUSED` with nftables' or the kernel's own words and their place
   */
  run(commands: string, options: NftablesRun = {}): string {
    const context = this.#context;
    invariant(context !== undefined, "a closed nftables context runs nothing");
    const library = this.#library;
    library.setOutput(context, options.json === true ? OUTPUT_JSON : 0);
    library.setDryRun(context, options.dryRun === true);
    const result = withoutSignals(() => library.run(context, commands));
    const output = library.output(context) ?? "";
    const complaint = library.error(context) ?? "";
    if (result === 0) return output;
    const located = options.json === true ? "" : this.#locate(context, commands);
    throw refusal(located === "" ? complaint : located, commands);
  }

  /**
   * Finds out where commands are wrong. Of commands in memory the library names no line, of commands in a
   * file it does; so they are checked once more, as a file without a name, and change nothing.
   *
   * @returns the complaint with its place; "" when there is none this time
   */
  #locate(context: Context, commands: string): string {
    const file = memfdCreate("nftables", CLOSE_ON_EXEC);
    if (file < 0) return "";
    try {
      writeSync(file, commands);
      this.#library.setDryRun(context, true);
      withoutSignals(() => this.#library.runFile(context, `/proc/self/fd/${file}`));
      return this.#library.error(context) ?? "";
    } finally {
      close(file);
    }
  }

  /** Frees the context. */
  close(): void {
    if (this.#context !== undefined) this.#library.free(this.#context);
    this.#context = undefined;
  }
}

function refusal(complaint: string, commands: string): FirewallError {
  const errors = parseNftablesErrors(complaint);
  const first = errors[0];
  const words = first === undefined ? complaint.trim() || "no reason given" : first.text;
  const line = first === undefined ? undefined : commands.split("\n")[first.line - 1]?.trim();
  const place = line === undefined ? "" : ` at "${line}" (line ${first?.line}, column ${first?.column})`;
  return new FirewallError("NFTABLES_REFUSED", `nftables refuses the rules${place}: ${words}`, {
    details: {
      line: first?.line ?? 0,
      column: first?.column ?? 0,
      errors: errors.map((error) => error.text),
      complaint,
    },
  });
}
