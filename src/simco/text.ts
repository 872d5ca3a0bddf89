/** Text as UTF-8 (RFC 3629), where no library of the platform is at hand. */

const ESCAPED = /%([0-9A-F]{2})|([^%])/g;
const LONE_SURROGATE = /\p{Surrogate}/gu;

/** The octets of a text; half a character becomes U+FFFD. */
export function encodeText(text: string): Uint8Array {
  const escaped = encodeURIComponent(text.replace(LONE_SURROGATE, "\ufffd"));
  const octets = [...escaped.matchAll(ESCAPED)].map(([, hex, plain]) =>
    hex === undefined ? (plain ?? "").charCodeAt(0) : Number.parseInt(hex, 16),
  );
  return Uint8Array.from(octets);
}

/** The text of octets; what is no UTF-8 is read as Latin-1, one octet a character. */
export function decodeText(octets: Uint8Array): string {
  const escaped = [...octets].map((octet) => `%${octet.toString(16).padStart(2, "0")}`).join("");
  try {
    return decodeURIComponent(escaped);
  } catch {
    return String.fromCharCode(...octets);
  }
}

/** Octets as hexadecimal digits. */
export function encodeHex(octets: Uint8Array): string {
  return [...octets].map((octet) => octet.toString(16).padStart(2, "0")).join("");
}

/** Hexadecimal digits as octets; undefined for any other text. */
export function decodeHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}
