/** ProtocolRule, ServerNameRule and FingerprintRule: what a flow's first bytes tell, on any port. */
import { type Recogniser, RecogniserSet } from "../../recognise/index.ts";
import { choice, listOf, reportWrongType, required, text, type ValueType, withDefault } from "../argument.ts";
import { ANSWER, type Answer, CONTENT, ContentRule, type FlowContent } from "../content.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { didYouMean } from "../suggestion.ts";

const BUILT_IN = new RecogniserSet().protocols;

/** Names of all protocols that rules may ask for. @param own - recognisers of one's own */
export function recognisableProtocols(own: readonly Recogniser[]): readonly string[] {
  return own.length === 0 ? BUILT_IN : [...own.map(({ protocol: name }) => name), ...BUILT_IN];
}

/**
 * Confidence in numbers, as {@link FlowContent.confidence} has it. A guess by the port is no ground at all.
 */
const CONFIDENCE = { likely: 2, certain: 3 } as const;

/** Name of a protocol that can be recognised; upper and lower case are one. */
export const protocol: ValueType<string> = {
  words: "the name of a protocol",
  schema: { type: "string", examples: BUILT_IN },
  read(value, reading) {
    const { scalar } = value;
    if (typeof scalar !== "string") return reportWrongType(value, protocol.words, reading);
    const known = reading.protocols.find((name) => name.toLowerCase() === scalar.toLowerCase());
    if (known !== undefined) return known;
    const hint = didYouMean(scalar, reading.protocols) || ` There are ${reading.protocols.join(", ")}`;
    reading.problems.error(value, "invalid-argument", `there is no protocol "${scalar}".${hint}`);
    return undefined;
  },
};

/** True when a flow speaks one of the protocols, or one of them carries what it speaks. */
export function speaks(content: FlowContent, names: ReadonlySet<string>, confidence: number): boolean {
  if (content.confidence < confidence) return false;
  for (const layer of content.layers) if (names.has(layer)) return true;
  return names.has(content.protocol);
}

/** What is known of a flow's protocol, in words. */
export function protocolWords(content: FlowContent): string {
  return content.protocol === ""
    ? "the protocol is unknown"
    : `the protocol is ${content.layers.join(" > ")}`;
}

class ProtocolRule extends ContentRule {
  override readonly isPure: boolean = true;
  readonly wants: number = CONTENT.PROTOCOL;
  readonly #names: ReadonlySet<string>;
  readonly #confidence: number;

  constructor(names: readonly string[], confidence: number) {
    super();
    this.#names = new Set(names);
    this.#confidence = confidence;
  }

  override judge(content: FlowContent): Answer {
    if (speaks(content, this.#names, this.#confidence)) return ANSWER.YES;
    if (content.isSettled) return ANSWER.NO;
    // Something else was recognised already, or what was recognised may still become surer.
    return content.confidence >= CONFIDENCE.certain ? ANSWER.NO : ANSWER.WAIT;
  }

  override describe(content: FlowContent): string {
    return protocolWords(content);
  }
}

/** A name in the form in which names are compared. */
function plainName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

class ServerNameRule extends ContentRule {
  override readonly isPure: boolean = true;
  readonly wants: number = CONTENT.PROTOCOL;
  readonly #names = new Set<string>();
  /** Of `*.example.org`: `.example.org`. */
  readonly #endings: string[] = [];

  constructor(names: readonly string[]) {
    super();
    for (const name of names.map(plainName)) {
      if (name.startsWith("*.")) this.#endings.push(name.slice(1));
      else this.#names.add(name);
    }
  }

  override judge(content: FlowContent): Answer {
    const { serverName } = content.facts;
    if (serverName === undefined) return content.isSettled ? ANSWER.NO : ANSWER.WAIT;
    const name = plainName(serverName);
    const isListed = this.#names.has(name) || this.#endings.some((ending) => name.endsWith(ending));
    return isListed ? ANSWER.YES : ANSWER.NO;
  }

  override describe({ facts }: FlowContent): string {
    return facts.serverName === undefined
      ? "no server name was seen"
      : `the server name is ${facts.serverName}`;
  }
}

const FINGERPRINTS = ["ja3", "ja4", "hasshClient", "hasshServer"] as const;

/** Which lists hold a fingerprint of that kind. */
type FingerprintLists = { readonly [Kind in (typeof FINGERPRINTS)[number]]: ReadonlySet<string> };

class FingerprintRule extends ContentRule {
  override readonly isPure: boolean = true;
  readonly wants: number = CONTENT.PROTOCOL;
  readonly #lists: FingerprintLists;

  constructor(lists: FingerprintLists) {
    super();
    this.#lists = lists;
  }

  override judge(content: FlowContent): Answer {
    for (const kind of FINGERPRINTS) {
      const seen = content.facts[kind];
      if (seen !== undefined && this.#lists[kind].has(seen)) return ANSWER.YES;
    }
    return content.isSettled ? ANSWER.NO : ANSWER.WAIT;
  }

  override describe({ facts }: FlowContent): string {
    const seen = FINGERPRINTS.flatMap((kind) =>
      facts[kind] === undefined ? [] : [`${kind} is ${facts[kind]}`],
    );
    return seen.length === 0 ? "no fingerprint was seen" : seen.join(", ");
  }
}

const PENDING_NOTE =
  "While the bytes that tell have not come, the flow is pending; `settings.pending` says what becomes of its " +
  "packets. ";

/** `ProtocolRule`. */
export const protocolRule: RuleDefinition = defineRule({
  summary: "Matches TCP and UDP packets by the protocol their flow speaks, told from its bytes, on any port.",
  arguments: {
    protocols: required(listOf(protocol, { min: 1 }), "Names of protocols."),
    confidence: withDefault(
      choice(["likely", "certain"]),
      "likely",
      "How sure the recognition must be at least; what only the port suggests never matches.",
    ),
  },
  readsBytes: true,
  action: "required",
  notes: `${PENDING_NOTE}A protocol that carries another one (SMTP before STARTTLS, SOCKS) matches too.`,
  create: ({ protocols, confidence }) => new ProtocolRule(protocols, CONFIDENCE[confidence]),
});

const NAME = /^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?$/i;

/** `ServerNameRule`. */
export const serverNameRule: RuleDefinition = defineRule({
  summary:
    "Matches packets of flows whose first bytes name a server: TLS and QUIC (SNI), HTTP (Host), DNS (the question).",
  arguments: {
    names: required(
      listOf(text(253), { min: 1 }),
      "Names; `*.example.org` stands for every name below example.org, not for example.org itself.",
    ),
  },
  readsBytes: true,
  action: "required",
  notes: `${PENDING_NOTE}Upper and lower case are one. A flow that names several servers is known by the first.`,
  check({ names }, check) {
    const wrong = names.find((name) => !NAME.test(name));
    if (wrong !== undefined)
      check.error("names", `"${wrong}" is no name: a star stands only for all in front, as in *.example.org`);
  },
  create: ({ names }) => new ServerNameRule(names),
});

const fingerprint = listOf(text(64));

/** `FingerprintRule`. */
export const fingerprintRule: RuleDefinition = defineRule({
  summary: "Matches packets of flows by the fingerprint of the software at one end: JA3, JA4, HASSH.",
  arguments: {
    ja3: withDefault(fingerprint, [], "JA3 of TLS clients, in hexadecimal."),
    ja4: withDefault(fingerprint, [], "JA4 of TLS and QUIC clients."),
    hassh: withDefault(fingerprint, [], "HASSH of SSH clients, in hexadecimal."),
    hassh_server: withDefault(fingerprint, [], "HASSH of SSH servers, in hexadecimal."),
  },
  readsBytes: true,
  action: "required",
  notes: PENDING_NOTE.trim(),
  check({ ja3, ja4, hassh, hassh_server }, check) {
    if (ja3.length + ja4.length + hassh.length + hassh_server.length === 0)
      check.error(undefined, 'give at least one fingerprint in "ja3", "ja4", "hassh" or "hassh_server"');
  },
  create: ({ ja3, ja4, hassh, hassh_server }) => {
    const lower = (list: readonly string[]): ReadonlySet<string> =>
      new Set(list.map((value) => value.toLowerCase()));
    return new FingerprintRule({
      ja3: lower(ja3),
      ja4: lower(ja4),
      hasshClient: lower(hassh),
      hasshServer: lower(hassh_server),
    });
  },
});
