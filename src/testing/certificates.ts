/** A certificate authority for tests, made with openssl. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Files of a certificate and its key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** How a certificate is made. */
export interface CertificateWish {
  readonly commonName: string;
  /** As openssl writes them: `DNS:a.example,IP:127.0.0.1`. */
  readonly alternativeNames?: string;
  /** True: it is valid no more. */
  readonly isExpired?: boolean;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

function openssl(...words: readonly string[]): void {
  execFileSync("openssl", words, { stdio: ["ignore", "ignore", "pipe"] });
}

/** Makes certificates. */
export class CertificateAuthority {
  readonly #folder: string;
  #made = 0;

  /**
   * @param folder - where the files go
   * @param name - common name of the authority
   */
  constructor(folder: string, name: string) {
    this.#folder = join(folder, name);
    mkdirSync(this.#folder);
    writeFileSync(this.#path("index.txt"), "");
    writeFileSync(
      this.#path("ca.cnf"),
      `[ca]\ndefault_ca = own\n[own]\ndatabase = ${this.#path("index.txt")}\nnew_certs_dir = ${this.#folder}\nrand_serial = yes\n` +
        "default_md = sha256\npolicy = any\nunique_subject = no\ncopy_extensions = copy\n[any]\ncommonName = supplied\n",
    );
    const { cert, key } = this.files;
    openssl("req", "-x509", ...KEY, "-days", "2", "-subj", `/CN=${name}`, "-keyout", key, "-out", cert);
  }

  /** The authority's own. */
  get files(): CertificateFiles {
    return { cert: this.#path("ca.pem"), key: this.#path("ca.key") };
  }

  /** The authority's certificate. */
  get cert(): Buffer {
    return readFileSync(this.files.cert);
  }

  /** Makes a certificate that this authority signs. */
  issue({ commonName, alternativeNames, isExpired = false }: CertificateWish): CertificateFiles {
    this.#made += 1;
    const [cert, key, request] = ["pem", "key", "csr"].map((end) => this.#path(`${this.#made}.${end}`)) as [
      string,
      string,
      string,
    ];
    const names = alternativeNames === undefined ? [] : ["-addext", `subjectAltName=${alternativeNames}`];
    openssl("req", "-new", ...KEY, "-subj", `/CN=${commonName}`, ...names, "-keyout", key, "-out", request);
    const validity = isExpired
      ? ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]
      : ["-days", "2"];
    const own = ["-config", this.#path("ca.cnf"), "-cert", this.files.cert, "-keyfile", this.files.key];
    openssl("ca", "-batch", ...own, ...validity, "-in", request, "-out", cert, "-notext");
    return { cert, key };
  }

  #path(file: string): string {
    return join(this.#folder, file);
  }
}
