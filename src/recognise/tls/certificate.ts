/** Names in an X.509 certificate (RFC 5280), as far as a firewall wants them: common name and DNS names. */
import { BER, BerElement } from "../ber.ts";
import type { ByteWindow } from "../byte-window.ts";

/** Context tags of TBSCertificate (RFC 5280 section 4.1): version first, extensions last. */
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
/** GeneralName "dNSName" (RFC 5280 section 4.2.1.6). */
const DNS_NAME = 0x82;
/** Contents of the object identifiers 2.5.4.3 and 2.5.29.17. */
const COMMON_NAME = "\x55\x04\x03";
const SUBJECT_ALTERNATIVE_NAME = "\x55\x1d\x11";

/** Names kept of one certificate; some carry thousands. */
const NAMES_MAX = 64;

/** Elements between the version and the subject: serial number, signature, issuer, validity. */
const FIELDS_BEFORE_SUBJECT = 4;

/** The string in the sequence {object identifier, string} within [from, to) when the identifier is `oid`. */
function namedString(window: ByteWindow, from: number, oid: string): BerElement | undefined {
  const element = new BerElement();
  if (!element.is(window, from, BER.OBJECT_IDENTIFIER) || !window.has(oid, element.from)) return undefined;
  if (element.length !== oid.length) return undefined;
  let value = element.to;
  if (element.is(window, value, BER.BOOLEAN)) value = element.to;
  return element.read(window, value) ? element : undefined;
}

function addCommonName(window: ByteWindow, subject: BerElement, names: string[]): void {
  const set = new BerElement();
  const pair = new BerElement();
  for (let position = subject.from; position < subject.to; position = set.to) {
    if (!set.is(window, position, BER.SET) || !pair.is(window, set.from, BER.SEQUENCE)) return;
    const value = namedString(window, pair.from, COMMON_NAME);
    if (value !== undefined) names.push(window.text(value.from, Math.min(value.to, subject.to)));
  }
}

function addDnsNames(window: ByteWindow, extensionsAt: number, names: string[]): void {
  const list = new BerElement();
  const extension = new BerElement();
  const name = new BerElement();
  if (!list.is(window, extensionsAt, BER.SEQUENCE)) return;
  for (let position = list.from; position < list.to; position = extension.to) {
    if (!extension.is(window, position, BER.SEQUENCE)) return;
    const octets = namedString(window, extension.from, SUBJECT_ALTERNATIVE_NAME);
    if (octets === undefined) continue;
    const general = new BerElement();
    if (!general.is(window, octets.from, BER.SEQUENCE)) return;
    for (let at = general.from; at < general.to && names.length < NAMES_MAX; at = name.to) {
      if (!name.read(window, at) || name.to > general.to) return;
      if (name.tag === DNS_NAME) names.push(window.text(name.from, name.to));
    }
  }
}

/**
 * Names a certificate is for, the common name first, each once.
 *
 * @param window - bytes
 * @param at - position of the certificate's DER encoding
 */
export function certificateNames(window: ByteWindow, at: number): string[] {
  const names: string[] = [];
  const outer = new BerElement();
  const body = new BerElement();
  const field = new BerElement();
  if (!outer.is(window, at, BER.SEQUENCE) || !body.is(window, outer.from, BER.SEQUENCE)) return names;
  let position = body.from;
  if (field.is(window, position, VERSION)) position = field.to;
  for (let index = 0; index < FIELDS_BEFORE_SUBJECT; index += 1) {
    if (!field.read(window, position)) return names;
    position = field.to;
  }
  if (!field.is(window, position, BER.SEQUENCE)) return names;
  addCommonName(window, field, names);
  for (position = field.to; position < body.to; position = field.to) {
    if (!field.read(window, position)) break;
    if (field.tag === EXTENSIONS) addDnsNames(window, field.from, names);
  }
  return [...new Set(names)];
}
