/**
 * A recogniser of one's own: git's own protocol (git://), on any port.
 *
 * A module exports one function; Postern calls it with the registry before it reads the policy. A recogniser is an
 * object with a `judge` that looks at the first bytes of one direction of a flow and answers. Rules name its protocol
 * like any other, and `postern states`, `replay` and `inspect --module` show it.
 */
import { CONFIDENCE, DONE, NO_MATCH } from "postern/rules";

// The client's first line (gitprotocol-pack(5), "Git Transport"): four hexadecimal digits that say its length, a
// service, the path, a zero byte, "host=", the server's name and a zero byte:
//
//     0032git-upload-pack /project.git\0host=example.org\0
const LENGTH_DIGITS = 4;
const SERVICES = ["git-upload-pack ", "git-receive-pack ", "git-upload-archive "];
const HOST = "host=";
// The longest line of the format (gitprotocol-common(5), "pkt-line Format").
const LINE_BYTES_MAX = 65_520;

function readLength(bytes) {
  const digits = bytes.text(0, LENGTH_DIGITS);
  return /^[0-9a-f]{4}$/.test(digits) ? Number.parseInt(digits, 16) : -1;
}

const git = {
  protocol: "Git",
  transports: ["TCP"],
  // It hides nothing.
  encrypted: false,
  // Whatever begins with another byte never gets here.
  firstBytes: Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0)),

  // Called when bytes have come, until it knows. It must not throw and must not keep `evidence`.
  judge(evidence) {
    const { bytes } = evidence;
    if (bytes.length < LENGTH_DIGITS) return LENGTH_DIGITS;
    const length = readLength(bytes);
    if (length <= LENGTH_DIGITS || length > LINE_BYTES_MAX) return NO_MATCH;
    const service = SERVICES.find((name) => bytes.couldBe(name, LENGTH_DIGITS));
    if (service === undefined) return NO_MATCH;
    // The rest of the line is worth waiting for: it names the server.
    if (bytes.length < length) return length;

    const facts = evidence.match(CONFIDENCE.CERTAIN);
    evidence.isFromClient();
    const pathAt = LENGTH_DIGITS + service.length;
    const pathEnd = bytes.indexOf(0, pathAt, length);
    if (pathEnd < 0) return DONE;
    facts.kind = service.trim();
    facts.path = bytes.text(pathAt, pathEnd);
    const host = bytes.has(HOST, pathEnd + 1) ? pathEnd + 1 + HOST.length : -1;
    const hostEnd = host < 0 ? -1 : bytes.indexOf(0, host, length);
    if (hostEnd > host) facts.serverName = bytes.text(host, hostEnd).replace(/:\d+$/, "");
    return DONE;
  },
};

export default function register(registry) {
  registry.registerRecogniser(git);
}
