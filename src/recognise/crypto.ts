/**
 * The cryptography that recognition needs: fingerprints are hashes, and QUIC's first packets are sealed with
 * keys that anyone can derive (RFC 9001 section 5.2). Node's own implementation sits behind an interface, so
 * that this is the one file of the layer that imports from the platform; it does no I/O and reads no clock.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac } from "node:crypto";

/** See the head of this file. */
export interface Cryptography {
  /** MD5 in hexadecimal, 32 characters. */
  md5(text: string): string;
  /** SHA-256 in hexadecimal, 64 characters. */
  sha256(text: string): string;
  /** HMAC with SHA-256, 32 bytes. */
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array;
  /** One block of AES-128 without chaining, 16 bytes. */
  aes128Block(key: Uint8Array, block: Uint8Array): Uint8Array;
  /**
   * Opens AES-128-GCM with a tag of 16 bytes at the end of `sealed`.
   *
   * @returns the plain bytes, or `undefined` when the tag does not fit
   */
  openAes128Gcm(
    key: Uint8Array,
    nonce: Uint8Array,
    associated: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined;
}

const GCM_TAG_BYTES = 16;

/** Node's own. */
export const nodeCryptography: Cryptography = {
  md5(text) {
    return createHash("md5").update(text, "latin1").digest("hex");
  },
  sha256(text) {
    return createHash("sha256").update(text, "latin1").digest("hex");
  },
  hmacSha256(key, data) {
    return createHmac("sha256", key).update(data).digest();
  },
  aes128Block(key, block) {
    return createCipheriv("aes-128-ecb", key, null).setAutoPadding(false).update(block);
  },
  openAes128Gcm(key, nonce, associated, sealed) {
    if (sealed.length < GCM_TAG_BYTES) return undefined;
    const tagAt = sealed.length - GCM_TAG_BYTES;
    const decipher = createDecipheriv("aes-128-gcm", key, nonce, { authTagLength: GCM_TAG_BYTES });
    decipher.setAAD(associated).setAuthTag(sealed.subarray(tagAt));
    const plain = decipher.update(sealed.subarray(0, tagAt));
    try {
      decipher.final();
      return plain;
    } catch {
      return undefined;
    }
  },
};
