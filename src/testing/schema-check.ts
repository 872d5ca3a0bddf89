/** As much of JSON Schema (draft 2020-12) as the policy's schema uses, written down plainly. */

type Schema = { readonly [keyword: string]: unknown };

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "object" ? "object" : typeof value;
}

function hasType(value: unknown, type: string): boolean {
  return type === "integer" ? Number.isInteger(value) : typeOf(value) === type;
}

function numberFaults(value: number, schema: Schema): string[] {
  const { minimum = value, maximum = value } = schema as { minimum?: number; maximum?: number };
  return [...(value < minimum ? ["minimum"] : []), ...(value > maximum ? ["maximum"] : [])];
}

function stringFaults(value: string, schema: Schema): string[] {
  const { maxLength = value.length, pattern = "" } = schema as { maxLength?: number; pattern?: string };
  const fits = new RegExp(pattern, "u").test(value);
  return [...(value.length > maxLength ? ["maxLength"] : []), ...(fits ? [] : ["pattern"])];
}

/** Says where a value breaks a schema; an empty list when it does not. */
export class SchemaCheck {
  readonly #root: Schema;

  constructor(root: Schema) {
    this.#root = root;
  }

  /** Places and keywords that are broken. */
  check(value: unknown, schema: Schema = this.#root, path = "$"): string[] {
    return [
      ...this.#checkReferences(value, schema, path),
      ...this.#checkScalar(value, schema, path),
      ...this.#checkObject(value, schema, path),
      ...this.#checkArray(value, schema, path),
    ];
  }

  #resolve(reference: string): Schema {
    let found: unknown = this.#root;
    for (const step of reference.replace("#/", "").split("/")) found = (found as Schema)[step];
    if (typeof found !== "object") throw new Error(`the schema has no ${reference}`);
    return found as Schema;
  }

  #checkReferences(value: unknown, schema: Schema, path: string): string[] {
    const problems: string[] = [];
    const { $ref, allOf, anyOf } = schema as { $ref?: string; allOf?: Schema[]; anyOf?: Schema[] };
    if ($ref !== undefined) problems.push(...this.check(value, this.#resolve($ref), path));
    for (const part of allOf ?? []) problems.push(...this.check(value, part, path));
    if (anyOf?.every((part) => this.check(value, part, path).length > 0)) problems.push(`${path}: anyOf`);
    const { if: condition, then: consequence } = schema as { if?: Schema; then?: Schema };
    if (
      condition !== undefined &&
      consequence !== undefined &&
      this.check(value, condition, path).length === 0
    ) {
      problems.push(...this.check(value, consequence, path));
    }
    return problems;
  }

  #checkScalar(value: unknown, schema: Schema, path: string): string[] {
    const broken: string[] = [];
    if (typeof schema["type"] === "string" && !hasType(value, schema["type"])) broken.push("type");
    if (Array.isArray(schema["enum"]) && !schema["enum"].includes(value)) broken.push("enum");
    if ("const" in schema && schema["const"] !== value) broken.push("const");
    if (typeof value === "number") broken.push(...numberFaults(value, schema));
    if (typeof value === "string") broken.push(...stringFaults(value, schema));
    return broken.map((keyword) => `${path}: ${keyword}`);
  }

  #checkObject(value: unknown, schema: Schema, path: string): string[] {
    if (typeOf(value) !== "object") return [];
    const object = value as Schema;
    const properties = (schema["properties"] ?? {}) as Record<string, Schema>;
    const required = (schema["required"] ?? []) as string[];
    const rest = schema["additionalProperties"] as Schema | false | undefined;
    const problems = required
      .filter((name) => !Object.hasOwn(object, name))
      .map((name) => `${path}: ` + `needs ${name}`);
    const names = schema["propertyNames"] as Schema | undefined;
    for (const [name, member] of Object.entries(object)) {
      if (names !== undefined) problems.push(...this.check(name, names, `${path}: name ${name}`));
      const own = Object.hasOwn(properties, name) ? properties[name] : rest;
      if (own === false) problems.push(`${path}.${name}: unknown`);
      else if (own !== undefined) problems.push(...this.check(member, own, `${path}.${name}`));
    }
    return problems;
  }

  #checkArray(value: unknown, schema: Schema, path: string): string[] {
    if (!Array.isArray(value)) return [];
    const {
      items,
      prefixItems = [],
      minItems = 0,
      maxItems = value.length,
    } = schema as {
      items?: Schema;
      prefixItems?: Schema[];
      minItems?: number;
      maxItems?: number;
    };
    const problems = value.length < minItems || value.length > maxItems ? [`${path}: length`] : [];
    for (const [at, item] of value.entries()) {
      const own = prefixItems[at] ?? items;
      if (own !== undefined) problems.push(...this.check(item, own, `${path}[${at}]`));
    }
    return problems;
  }
}
