/** Certificates for tests, made with openssl: an authority, a server, agents. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate with its key, PEM. */
export interface Credentials {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** An authority. */
export class Authority {
  readonly #folder: string;
  /** Its own certificate, PEM. */
  readonly certificate: Buffer;

  constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), "postern-authority-"));
    this.#openssl(
      "req",
      "-x509",
      ...NEW_KEY,
      "-subj",
      "/CN=authority",
      "-keyout",
      "ca.key",
      "-out",
      "ca.pem",
    );
    this.certificate = this.#read("ca.pem");
  }

  /** @param name - DNS name of the one that it is for */
  issue(name: string): Credentials {
    this.#openssl("req", ...NEW_KEY, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    writeFileSync(join(this.#folder, "extensions"), `subjectAltName=DNS:${name}\n`);
    const request = ["-req", "-in", `${name}.csr`, "-days", "2", "-extfile", "extensions"];
    const signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    this.#openssl("x509", ...request, ...signer, "-out", `${name}.pem`);
    return { cert: this.#read(`${name}.pem`), key: this.#read(`${name}.key`) };
  }

  /** Takes everything away again. */
  close(): void {
    rmSync(this.#folder, { recursive: true });
  }

  #openssl(...words: readonly string[]): void {
    execFileSync("openssl", words, { cwd: this.#folder, stdio: "ignore" });
  }

  #read(file: string): Buffer {
    return readFileSync(join(this.#folder, file));
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
