/** The frame of an nf_tables transaction: begin, messages, end. The kernel commits all of it or nothing. */
import { MESSAGE_FLAG } from "./message.ts";
import { MessageWriter } from "./message-writer.ts";

/** NFNL_SUBSYS_NFTABLES */
const NFTABLES = 10;

// Messages of a batch (`linux/netfilter/nfnetlink.h`).
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;

/** Operations by the type of their messages (enum nf_tables_msg_types). */
export const NFTABLES_MESSAGE = {
  DELETE_TABLE: (NFTABLES << 8) | 2,
  NEW_RULE: (NFTABLES << 8) | 6,
  DELETE_RULE: (NFTABLES << 8) | 8,
  NEW_SET: (NFTABLES << 8) | 9,
  GET_SET: (NFTABLES << 8) | 10,
  NEW_ELEMENTS: (NFTABLES << 8) | 12,
  GET_ELEMENTS: (NFTABLES << 8) | 13,
  DELETE_ELEMENTS: (NFTABLES << 8) | 14,
  NEW_GENERATION: (NFTABLES << 8) | 15,
  GET_GENERATION: (NFTABLES << 8) | 16,
  NEW_OBJECT: (NFTABLES << 8) | 18,
  GET_OBJECT: (NFTABLES << 8) | 19,
  DELETE_OBJECT: (NFTABLES << 8) | 20,
  /** Like DELETE_ELEMENTS, and it does not mind what is not there. Linux 6.3 and later. */
  DESTROY_ELEMENTS: (NFTABLES << 8) | 30,
} as const;

/** Protocol families of nf_tables tables (enum of `linux/netfilter.h`). */
export const TABLE_FAMILY = { INET: 1, IPV4: 2, IPV6: 10 } as const;

/** A table by family and name. */
export interface TableName {
  readonly family: number;
  readonly name: string;
}

/** Frames messages and numbers them. */
export class NftablesTransaction {
  readonly #writer: MessageWriter = new MessageWriter();
  #sequence: number;

  /** @param firstSequence - number of the first message; the others follow */
  constructor(firstSequence: number) {
    this.#sequence = firstSequence;
    this.#mark(BATCH_BEGIN);
  }

  /** Number of the message begun last. */
  get sequence(): number {
    return this.#sequence - 1;
  }

  /**
   * Begins a message; the caller ends it.
   *
   * @param type - a value of {@link NFTABLES_MESSAGE}
   * @param flags - bits of MESSAGE_FLAG beside REQUEST; without ACK only a refusal is answered
   * @param family - a value of {@link TABLE_FAMILY}
   */
  begin(type: number, flags: number, family: number): MessageWriter {
    this.#writer.beginNetfilter({
      type,
      flags: MESSAGE_FLAG.REQUEST | flags,
      sequence: this.#sequence,
      family,
    });
    this.#sequence += 1;
    return this.#writer;
  }

  /** Ends the transaction and gives its bytes. */
  end(): Uint8Array {
    this.#mark(BATCH_END);
    return this.#writer.bytes;
  }

  #mark(type: number): void {
    const flags = MESSAGE_FLAG.REQUEST;
    this.#writer.beginNetfilter({ type, flags, sequence: this.#sequence, resource: NFTABLES });
    this.#writer.end();
    this.#sequence += 1;
  }
}
