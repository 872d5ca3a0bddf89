/**
 * Seals in nftables' language: flows whose fate is sealed are judged here and no longer come up.
 *
 * A verdict of userspace carries the wish as a mark (see reject-mark.ts), and the late chain notes it in the
 * connection's mark: the *generation* of seals in force, and the *kind* of seal. Early on the way a
 * packet of TCP or UDP whose connection bears the generation in force is accepted or dropped. Seals of
 * another generation mean nothing, so putting a new one in force voids all seals at once.
 *
 * There are kinds of seals:
 *
 * - *Accepted* and *dropped*: SYN, FIN and RST still come up, since the state table must know of them.
 * - *Carried*: FINs pass as well. One that waited in a queue would be overtaken by what its sender says next;
 *   when it arrives after the acknowledgement of the other end's FIN its socket is gone, and it is lost.
 * - *Opening*: given to the answer to a SYN, and in force for nothing. With the acknowledgement by which the
 *   kernel takes the connection for standing it becomes *carried*; that segment comes up and says so. Another
 *   answer to the SYN, judged behind it, leaves the connection carried. Where
 *   both ends are translated the kernel cannot be asked whether a connection is over, so it is not carried.
 *
 * A segment that the kernel's tracker has found to fit a connection that stands (assured) is *vouched* for
 * upwards. Only such a segment can begin a seal: of a connection that the kernel has not taken up, or sees
 * otherwise than we do, it would take a reset for stray. A SYN is vouched for also where the tracker takes it
 * for nothing: one that is not begins another connection. A segment with SYN, FIN or RST that comes back
 * accepted as it is ends its flow's seal: what follows is judged anew.
 *
 * What a pinhole permits is not dropped by a seal that may be older than the pinhole: it comes up.
 *
 * A connection that a helper of the kernel expects, such as the media of a call, inherits its parent's mark
 * and is a flow of its own: it begins without a seal.
 *
 * An ICMP error belongs to the connection that it quotes and has its mark, but is no packet of it: hence the
 * test for the protocol.
 */
import { PINHOLE_MARK } from "../base/index.ts";
import {
  REJECT_KIND,
  type RejectKind,
  type RejectMarks,
  SEAL_KIND,
  type SealKind,
  SealMarks,
} from "../netlink/index.ts";
import { hexadecimal } from "./hexadecimal.ts";

/** Name of the chain that judges packets of sealed flows. */
export const SEALED_CHAIN = "sealed";

/** Name of the chain that vouches for packets. */
const VOUCHING_CHAIN = "vouch";

/** Matches segments of a connection that stands, for the kernel's tracker. */
const STANDS = "meta l4proto tcp ct state established ct status assured";

/** Rules for packets that may go up: first the seals, then whom the kernel's tracker vouches for. */
export const SEALING_RULES: readonly string[] = [
  `jump ${SEALED_CHAIN}`,
  `${STANDS} jump ${VOUCHING_CHAIN}`,
  `tcp flags & syn != 0 ct state invalid jump ${VOUCHING_CHAIN}`,
];

/** What the chains are made from. */
export interface SealForm {
  /** Bits of the connection mark that are ours. */
  readonly connectionMarkMask: number;
  /** Generation of seals in force. */
  readonly generation: number;
}

/** Rules of each chain, by its name. */
function chainRules(form: SealForm, marks: RejectMarks): ReadonlyMap<string, readonly string[]> {
  const seals = new SealMarks(form.connectionMarkMask);
  const mask = hexadecimal(seals.mask);
  const rest = hexadecimal(~seals.mask);
  const bits = (kind: SealKind): string => hexadecimal(seals.bits(form.generation, kind));
  const bears = (kind: SealKind): string => `ct mark & ${mask} == ${bits(kind)}`;
  const becomes = (kind: SealKind): string => `ct mark set ct mark & ${rest} | ${bits(kind)}`;
  const { ACCEPTED, DROPPED, CARRIED, OPENING } = SEAL_KIND;
  const isDropped = `ct mark & ${hexadecimal(seals.kindMask)} == ${hexadecimal(seals.droppedBits)}`;
  const ends = `ct mark set ct mark & ${rest}`;
  const others = hexadecimal(~marks.mask);
  const clear = `meta mark set meta mark & ${others}`;
  const says = (kind: RejectKind): string =>
    `meta mark set meta mark & ${others} | ${hexadecimal(marks.bits(kind))}`;
  const begins = `meta mark & ${hexadecimal(marks.mask)} == ${hexadecimal(marks.bits(REJECT_KIND.SEAL_ACCEPT))}`;
  return new Map([
    [VOUCHING_CHAIN, [`${begins} return`, says(REJECT_KIND.VOUCHED)]],
    [
      SEALED_CHAIN,
      [
        `ct mark & ${mask} == 0 return`,
        // It has been here: on the way through a plan, and now on the way up.
        `${begins} return`,
        `meta l4proto { tcp, udp } ct state related ${ends} return`,
        `tcp flags & syn != 0 ${isDropped} ${ends}`,
        `tcp flags & (syn | rst) != 0 return`,
        `meta l4proto tcp ${bears(CARRIED)} accept`,
        `tcp flags & fin != 0 return`,
        `meta l4proto { tcp, udp } ${bears(ACCEPTED)} accept`,
        `meta l4proto { tcp, udp } ${bears(DROPPED)} meta mark & ${hexadecimal(PINHOLE_MARK)} == 0 drop`,
        `${bears(OPENING)} ${STANDS} ct direction original ${becomes(CARRIED)} ${says(REJECT_KIND.SEAL_ACCEPT)}`,
      ],
    ],
    [
      "seal-accept",
      [
        clear,
        // An answer to the SYN that was judged late: the connection stands, and is carried already.
        `${bears(CARRIED)} return`,
        `tcp flags & syn != 0 ct status & (snat | dnat) != (snat | dnat) ${becomes(OPENING)} return`,
        "tcp flags & syn != 0 return",
        becomes(ACCEPTED),
      ],
    ],
    ["seal-drop", [clear, becomes(DROPPED), "drop"]],
    ["unseal", [clear, `ct mark & ${mask} != 0 ct mark set ct mark & ${rest}`]],
  ]);
}

/** The chains of seals. */
export function sealChains(form: SealForm, marks: RejectMarks): string {
  return [...chainRules(form, marks)]
    .map(([name, rules]) => `	chain ${name} {\n${rules.map((rule) => `		${rule}\n`).join("")}	}`)
    .join("\n");
}

/** Where the late chain sends packets that userspace has marked so. */
export function sealVerdicts(marks: RejectMarks): string {
  const bits = (kind: number): string => hexadecimal(marks.bits(kind as 5 | 6 | 7));
  return `, ${bits(REJECT_KIND.SEAL_ACCEPT)} : goto seal-accept, \
${bits(REJECT_KIND.SEAL_DROP)} : goto seal-drop, \
${bits(REJECT_KIND.VOUCHED)} : goto unseal`;
}

/** The transaction that puts another generation in force, and so voids all seals. */
export function renewalText(table: string, form: SealForm, marks: RejectMarks): string {
  const commands = [...chainRules(form, marks)].flatMap(([name, rules]) => {
    const chain = `inet ${table} ${name}`;
    return [`flush chain ${chain}`, ...rules.map((rule) => `add rule ${chain} ${rule}`)];
  });
  return `${commands.join("\n")}\n`;
}
