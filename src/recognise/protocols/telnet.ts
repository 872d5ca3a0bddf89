/** Telnet (RFC 854): told by its option negotiation, which opens nearly every session. */
import { CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

/** "Interpret as command", and the commands that take an option (RFC 854). */
const IAC = 0xff;
const SB = 0xfa;
const WILL = 0xfb;
const DONT = 0xfe;

/** Highest option code in use, apart from 255 (IANA Telnet Options). */
const OPTION_MAX = 0x8c;
const OPTION_EXTENDED = 0xff;

/** Length of a command with its option. */
const COMMAND_BYTES = 3;

/** See the head of this file. */
export const telnet: Recogniser = {
  protocol: "Telnet",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [IAC],
  judge(evidence) {
    const { bytes } = evidence;
    let commands = 0;
    for (let position = 0; bytes.u8(position) === IAC; position += COMMAND_BYTES) {
      const command = bytes.u8(position + 1);
      const option = bytes.u8(position + 2);
      if (command < 0 || option < 0) break;
      if (command === SB && commands > 0) break;
      if (command < WILL || command > DONT || (option > OPTION_MAX && option !== OPTION_EXTENDED))
        return NO_MATCH;
      commands += 1;
    }
    if (commands === 0) return evidence.matched ? DONE : COMMAND_BYTES;
    const sure = commands >= 2 || evidence.matched;
    evidence.match(sure ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY);
    return sure ? DONE : bytes.length + 1;
  },
};
