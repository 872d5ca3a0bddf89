/**
 * Copies compiled layers with a counter at every branch, and collects the constants that they compare with.
 *
 * A counter is a byte of `globalThis.fuzzCounters`; what takes part is every function, branch of a condition,
 * body of a loop, case of a switch, and right side of a logical operator.
 */
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseSync } from "oxc-parser";

/** Layers that are looked into; the other folders are copied as they are. */
const LAYERS = ["base", "wire", "stream", "recognise", "inspect"];
const COPIED = [...LAYERS, "testing"];

/** Statements and functions whose body is counted. */
const BODIES = new Set([
  "ForStatement",
  "ForOfStatement",
  "WhileStatement",
  "FunctionDeclaration",
  "FunctionExpression",
]);

const TOKEN_BYTES_MAX = 40;

/** What one run of the instrumentation keeps. */
class Instrumentation {
  counters = 0;
  tokens = new Set();

  /** The source with counters. */
  instrument(name, source) {
    const insertions = [];
    const { program } = parseSync(name, source);
    this.#visit(program, insertions);
    insertions.sort((a, b) => b.at - a.at);
    let result = source;
    for (const { at, text } of insertions) result = result.slice(0, at) + text + result.slice(at);
    return `const fuzzCounters = globalThis.fuzzCounters;\n${result}`;
  }

  #counter() {
    this.counters += 1;
    return `fuzzCounters[${this.counters - 1}]++`;
  }

  #statement(node, insertions) {
    if (node.type === "BlockStatement") insertions.push({ at: node.start + 1, text: `${this.#counter()};` });
    else {
      insertions.push({ at: node.start, text: `{${this.#counter()};` });
      insertions.push({ at: node.end, text: "}" });
    }
  }

  #expression(node, insertions) {
    insertions.push({ at: node.start, text: `(${this.#counter()},` });
    insertions.push({ at: node.end, text: ")" });
  }

  #branches(node, insertions) {
    if (BODIES.has(node.type)) this.#statement(node.body, insertions);
    switch (node.type) {
      case "IfStatement":
        this.#statement(node.consequent, insertions);
        if (node.alternate) this.#statement(node.alternate, insertions);
        break;
      case "ArrowFunctionExpression":
        if (node.body.type === "BlockStatement") this.#statement(node.body, insertions);
        else this.#expression(node.body, insertions);
        break;
      case "SwitchCase":
        if (node.consequent.length > 0)
          insertions.push({ at: node.consequent[0].start, text: `${this.#counter()};` });
        break;
      case "ConditionalExpression":
        this.#expression(node.consequent, insertions);
        this.#expression(node.alternate, insertions);
        break;
      case "LogicalExpression":
        this.#expression(node.right, insertions);
        break;
      case "Literal":
        this.#collect(node.value);
        break;
      default:
    }
  }

  #collect(value) {
    if (typeof value === "string" && value.length > 1 && value.length <= TOKEN_BYTES_MAX) {
      this.tokens.add(Buffer.from(value, "latin1").toString("hex"));
    }
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 2 || value >= 2 ** 32) return;
    const digits = value.toString(16);
    const even = digits.length % 2 === 0 ? digits : `0${digits}`;
    this.tokens.add(even);
    if (even.length === 4 || even.length === 8) this.tokens.add(even.match(/../g).reverse().join(""));
  }

  #visit(node, insertions) {
    if (node.type === "ImportDeclaration") return;
    this.#branches(node, insertions);
    for (const child of Object.values(node).flat()) {
      if (typeof child?.type === "string") this.#visit(child, insertions);
    }
  }
}

/**
 * Makes the instrumented copy.
 *
 * @param dist - the compiled layers
 * @param folder - where the copy goes; exists
 */
export function instrumentLayers(dist, folder) {
  const instrumentation = new Instrumentation();
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  for (const layer of COPIED) cpSync(join(dist, layer), join(folder, layer), { recursive: true });
  for (const layer of LAYERS) {
    for (const file of readdirSync(join(folder, layer), { recursive: true })) {
      if (!file.endsWith(".js") || file.endsWith(".test.js")) continue;
      const path = join(folder, layer, file);
      writeFileSync(path, instrumentation.instrument(file, readFileSync(path, "utf8")));
    }
  }
  const tokens = [...instrumentation.tokens].map((token) => Uint8Array.from(Buffer.from(token, "hex")));
  return { counters: instrumentation.counters, tokens };
}
