/** An address and a port on the command line. */
import { InvalidArgumentError } from "commander";

/** Where a program listens. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const HOST_PORT = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]+)):(\d{1,5})$/;
const PORT_MAX = 65_535;

/** `192.0.2.1:7627`, `[2001:db8::1]:7627`, `host.example:7627`. */
export function parseHostPort(text: string): HostPort {
  const [, v6, other, digits] = HOST_PORT.exec(text) ?? [];
  const host = v6 ?? other;
  const port = Number(digits);
  if (host === undefined || port > PORT_MAX) {
    throw new InvalidArgumentError("It takes an address and a port, such as 192.0.2.1:7627 or [::]:7627.");
  }
  return { host, port };
}
