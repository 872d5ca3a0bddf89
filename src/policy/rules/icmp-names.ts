/** Names of ICMP and ICMPv6 types and codes. A name means the same in both, whatever the numbers. */

/** The number in ICMP and the number in ICMPv6; `undefined` where the version has no such thing. */
export type Numbers = readonly [number | undefined, number | undefined];

/** Types (RFC 792, RFC 1256; RFC 4443, RFC 4861, RFC 2710, RFC 3810). */
export const ICMP_TYPES: Readonly<Record<string, Numbers>> = {
  "echo-reply": [0, 129],
  "destination-unreachable": [3, 1],
  "source-quench": [4, undefined],
  redirect: [5, 137],
  "echo-request": [8, 128],
  "router-advertisement": [9, 134],
  "router-solicitation": [10, 133],
  "time-exceeded": [11, 3],
  "parameter-problem": [12, 4],
  "timestamp-request": [13, undefined],
  "timestamp-reply": [14, undefined],
  "packet-too-big": [undefined, 2],
  "multicast-listener-query": [undefined, 130],
  "multicast-listener-report": [undefined, 131],
  "multicast-listener-done": [undefined, 132],
  "neighbor-solicitation": [undefined, 135],
  "neighbor-advertisement": [undefined, 136],
  "multicast-listener-report-v2": [undefined, 143],
};

/** A code and the name of the type it belongs to. */
export interface CodeName {
  readonly type: string;
  readonly codes: Numbers;
}

const UNREACHABLE = "destination-unreachable";
const EXCEEDED = "time-exceeded";

/** Codes (RFC 792, RFC 1812 section 5.2.7.1; RFC 4443 sections 3.1 and 3.3). */
export const ICMP_CODES: Readonly<Record<string, CodeName>> = {
  "net-unreachable": { type: UNREACHABLE, codes: [0, 0] },
  "host-unreachable": { type: UNREACHABLE, codes: [1, 3] },
  "protocol-unreachable": { type: UNREACHABLE, codes: [2, undefined] },
  "port-unreachable": { type: UNREACHABLE, codes: [3, 4] },
  "fragmentation-needed": { type: UNREACHABLE, codes: [4, undefined] },
  "source-route-failed": { type: UNREACHABLE, codes: [5, undefined] },
  "net-prohibited": { type: UNREACHABLE, codes: [9, undefined] },
  "host-prohibited": { type: UNREACHABLE, codes: [10, undefined] },
  "admin-prohibited": { type: UNREACHABLE, codes: [13, 1] },
  "beyond-scope": { type: UNREACHABLE, codes: [undefined, 2] },
  "source-policy-failed": { type: UNREACHABLE, codes: [undefined, 5] },
  "reject-route": { type: UNREACHABLE, codes: [undefined, 6] },
  "hop-limit-exceeded": { type: EXCEEDED, codes: [0, 0] },
  "reassembly-timeout": { type: EXCEEDED, codes: [1, 1] },
};
