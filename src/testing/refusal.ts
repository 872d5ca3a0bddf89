/** What a refused sender is told, read off the wire beside it. */
import { fileURLToPath } from "node:url";
import type { Namespace, RunningProgram } from "../lab/index.ts";

const PROGRAM = fileURLToPath(new URL("./programs/refusal-witness.js", import.meta.url));

/** One refusal as it arrived. */
export interface Refusal {
  /**
   * `TCP reset`, or the protocol with type and code, such as `ICMP 3/13` (RFC 792) or `ICMPv6 1/4` (RFC
   * 4443).
   */
  readonly form: string;
  /** Who says so. */
  readonly from: string;
  /** Destination address of the packet that was refused. */
  readonly refused: string;
  /** Its transport protocol (IANA number). */
  readonly protocol: number;
  /** Its source port. */
  readonly localPort: number;
  /** Its destination port. */
  readonly port: number;
}

/** Sees every refusal that reaches a host. */
export class RefusalWitness {
  readonly #program: RunningProgram;

  private constructor(program: RunningProgram) {
    this.#program = program;
  }

  /**
   * Starts one and waits until it sees what arrives. It ends with the laboratory.
   *
   * @param host - where refusals arrive
   */
  static async start(host: Namespace): Promise<RefusalWitness> {
    const program = host.start([process.execPath, PROGRAM]);
    await program.waitForLine(/"ready"/);
    return new RefusalWitness(program);
  }

  /** All refusals of packets with a source port, in the order of arrival. */
  ofPort(localPort: number): Refusal[] {
    return this.#program.lines
      .map((line) => JSON.parse(line) as Partial<Refusal>)
      .filter((refusal): refusal is Refusal => refusal.localPort === localPort);
  }

  /**
   * Waits for the first refusal of a packet with a source port.
   *
   * @param localPort - the packet's source port
   * @throws {FirewallError} `PROGRAM_SILENT` when none comes in time
   */
  async awaitPort(localPort: number): Promise<Refusal> {
    const line = await this.#program.waitForLine(new RegExp(`"localPort":${localPort}\\b`));
    return JSON.parse(line) as Refusal;
  }
}
