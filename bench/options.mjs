/** The options of a benchmark. What is wrong with them is said in a line, with those that there are. */
import { basename } from "node:path";
import { parseArgs } from "node:util";

/** `[--json] [--rounds ROUNDS (3)]`, as the options stand. */
function usage(options) {
  const words = Object.entries(options).map(([name, { type, default: value }]) => {
    const argument = type === "boolean" ? "" : ` ${name.toUpperCase()}`;
    return `[--${name}${argument}${type === "boolean" || value === undefined ? "" : ` (${value})`}]`;
  });
  return `Usage: node bench/${basename(process.argv[1])} ${words.join(" ")}\n`;
}

/**
 * Reads the command line; ends the program with status 0 behind `--help`, and with 2 when it makes no sense.
 *
 * @template {import("node:util").ParseArgsConfig} Config
 * @param {Config} config - as of `parseArgs` of `node:util`
 * @returns {ReturnType<typeof parseArgs<Config>>} as of `parseArgs`
 */
export function readOptions(config) {
  const { options } = config;
  try {
    const parsed = parseArgs({ ...config, options: { ...options, help: { type: "boolean" } } });
    if (parsed.values.help !== true) return parsed;
    process.stdout.write(usage(options));
    process.exit(0);
  } catch (error) {
    if (!String(error.code).startsWith("ERR_PARSE_ARGS")) throw error;
    process.stderr.write(`${error.message}\n${usage(options)}`);
    process.exit(2);
  }
}
