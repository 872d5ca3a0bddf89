/** Who sent an HTTP request, as far as the connection proves it. */
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { readPeerCredentials } from "../../../system/index.ts";
import type { Identity } from "../agent-directory.ts";

/** An alternative name as Node.js prints it: kind and value, the value quoted when it could mislead. */
const ALTERNATIVE = /(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)/g;
const KINDS: Readonly<Record<string, string>> = {
  DNS: "DNS",
  URI: "URI",
  email: "email",
  "IP Address": "IP",
};

/**
 * The alternative names of a certificate.
 *
 * @param text - as Node.js prints them, such as `DNS:a.example, URI:spiffe://b`
 * @returns `DNS:…`, `URI:…`, `email:…`, `IP:…`
 */
export function alternativeNames(text: string): string[] {
  const names: string[] = [];
  for (const [, kind = "", value = ""] of text.matchAll(ALTERNATIVE)) {
    const known = KINDS[kind];
    if (known === undefined) continue;
    names.push(`${known}:${value.startsWith('"') ? (JSON.parse(value) as string) : value}`);
  }
  return names;
}

function certificateNames(socket: TLSSocket): string[] {
  const { subject, subjectaltname, fingerprint256 } = socket.getPeerCertificate();
  if (fingerprint256 === undefined) return [];
  const commonNames: readonly string[] = [subject.CN ?? []].flat();
  return [
    `sha256:${fingerprint256.replaceAll(":", "").toLowerCase()}`,
    ...alternativeNames(subjectaltname ?? ""),
    ...commonNames.map((name) => `CN=${name}`),
  ];
}

/**
 * Reads who is at the other end: the kernel's word on a Unix socket, the certificate's with TLS.
 *
 * @returns undefined when there is no proof
 */
export function identityOf(socket: Socket): Identity | undefined {
  if (socket instanceof TLSSocket) {
    return socket.authorized ? { kind: "certificate", names: certificateNames(socket) } : undefined;
  }
  const peer = readPeerCredentials(socket);
  return peer === undefined ? undefined : { kind: "user", userId: peer.userId, groupIds: peer.groupIds };
}
