/**
 * Fingerprints of TLS offers and choices: JA3 and JA3S (Salesforce, 2017) and JA4 (FoxIO, 2023). GREASE
 * values (RFC 8701) are random by design and take part in none of them.
 */
import type { Cryptography } from "../crypto.ts";
import type { Facts } from "../recogniser.ts";
import { type ClientHello, EXTENSION, isGrease, offeredVersions } from "./client-hello.ts";
import type { ServerHello } from "./server-hello.ts";

/** How the hello travelled: the first letter of a JA4. */
export type HelloTransport = "t" | "q" | "d";

/** Version names of JA4; anything else is "00". */
const JA4_VERSIONS: ReadonlyMap<number, string> = new Map([
  [0x0304, "13"],
  [0x0303, "12"],
  [0x0302, "11"],
  [0x0301, "10"],
  [0x0300, "s3"],
  [0x0002, "s2"],
  [0xfeff, "d1"],
  [0xfefd, "d2"],
  [0xfefc, "d3"],
]);

/** Characters of a hash that JA4 keeps. */
const JA4_HASH_CHARACTERS = 12;
const JA4_EMPTY_HASH = "000000000000";

/** Largest count that two decimal digits hold. */
const JA4_COUNT_MAX = 99;

const withoutGrease = (values: readonly number[]): number[] => values.filter((value) => !isGrease(value));
const dashed = (values: readonly number[]): string => withoutGrease(values).join("-");
const hex = (value: number): string => value.toString(16).padStart(4, "0");
const count = (values: readonly number[]): string =>
  String(Math.min(values.length, JA4_COUNT_MAX)).padStart(2, "0");

/** JA3 of a hello before hashing: version, ciphers, extensions, groups and point formats, in decimal. */
export function ja3Text(hello: ClientHello): string {
  return [
    String(hello.version),
    dashed(hello.ciphers),
    dashed(hello.extensions),
    dashed(hello.groups),
    hello.pointFormats.join("-"),
  ].join(",");
}

/** JA3S of a server's hello before hashing: version, cipher, extensions. */
export function ja3sText(hello: ServerHello): string {
  return [String(hello.version), String(hello.cipher), hello.extensions.join("-")].join(",");
}

const isAlphanumeric = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);

/**
 * First and last character of the first protocol offered. "If the first or last byte of the first ALPN is
 * non-alphanumeric, then we print the first and last characters of the hex representation."
 */
function ja4Alpn(hello: ClientHello): string {
  const name = hello.alpn[0];
  if (name === undefined || name.length === 0) return "00";
  const first = name.charCodeAt(0);
  const last = name.charCodeAt(name.length - 1);
  if (isAlphanumeric(first) && isAlphanumeric(last)) return name.charAt(0) + name.charAt(name.length - 1);
  return first.toString(16).padStart(2, "0").charAt(0) + last.toString(16).padStart(2, "0").charAt(1);
}

function ja4Version(hello: ClientHello): string {
  const listed = offeredVersions(hello);
  // DTLS counts its versions downwards (RFC 6347 section 4.1).
  const datagram = listed.every((version) => version >> 8 === 0xfe);
  const highest = datagram ? Math.min(...listed) : Math.max(...listed);
  return JA4_VERSIONS.get(highest) ?? "00";
}

/** The three parts of a JA4, the last two before hashing. */
export function ja4Parts(hello: ClientHello, transport: HelloTransport): [string, string, string] {
  const ciphers = withoutGrease(hello.ciphers);
  const extensions = withoutGrease(hello.extensions);
  const destination = extensions.includes(EXTENSION.SERVER_NAME) ? "d" : "i";
  const head =
    transport + ja4Version(hello) + destination + count(ciphers) + count(extensions) + ja4Alpn(hello);
  const hashed = extensions.filter((type) => type !== EXTENSION.SERVER_NAME && type !== EXTENSION.ALPN);
  const signatures = withoutGrease(hello.signatureAlgorithms).map(hex).join(",");
  const listed = hashed.map(hex).sort().join(",");
  return [head, ciphers.map(hex).sort().join(","), signatures === "" ? listed : `${listed}_${signatures}`];
}

/**
 * JA4 of a hello.
 *
 * @param transport - "t" for TLS over TCP, "q" for QUIC, "d" for DTLS
 */
export function ja4(hello: ClientHello, transport: HelloTransport, cryptography: Cryptography): string {
  const [head, ciphers, extensions] = ja4Parts(hello, transport);
  const short = (text: string): string =>
    text === "" ? JA4_EMPTY_HASH : cryptography.sha256(text).slice(0, JA4_HASH_CHARACTERS);
  return `${head}_${short(ciphers)}_${short(extensions)}`;
}

/** Writes all that a client's hello tells into `facts`. */
export function learnClientHello(
  facts: Facts,
  hello: ClientHello,
  transport: HelloTransport,
  cryptography: Cryptography,
): void {
  if (hello.serverName !== undefined) facts.serverName = hello.serverName;
  if (hello.alpn.length > 0) facts.alpn = hello.alpn;
  facts.tlsVersions = offeredVersions(hello);
  facts.ciphers = hello.ciphers;
  if (hello.echOffered) facts.echOffered = true;
  facts.ja3 = cryptography.md5(ja3Text(hello));
  facts.ja4 = ja4(hello, transport, cryptography);
}

/** Writes all that a server's hello tells into `facts`. */
export function learnServerHello(facts: Facts, hello: ServerHello, cryptography: Cryptography): void {
  facts.tlsVersion = hello.chosenVersion;
  facts.cipher = hello.cipher;
  if (hello.alpn !== undefined) facts.alpnChosen = hello.alpn;
  facts.ja3s = cryptography.md5(ja3sText(hello));
}
