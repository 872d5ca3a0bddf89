/**
 * True when this machine stores the low byte of a number first. Netlink headers and many attributes are in
 * the machine's own order, so every `DataView` access to them takes this as its last argument.
 */
export const HOST_ORDER: boolean = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
