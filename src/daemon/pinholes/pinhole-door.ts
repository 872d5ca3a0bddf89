/**
 * A door: a way from the outside to the pinholes. HTTP on a Unix socket is one, HTTP with TLS another.
 *
 * A door makes sure who is there, turns what he asks for into calls of the service, and the service's answers
 * into words of its protocol. What may be asked for is not its business.
 */
import type { LimitValues } from "../../base/index.ts";
import type { Log } from "../log.ts";
import type { AgentDirectory } from "./agent-directory.ts";
import type { PinholeService } from "./service.ts";

/** What stands behind a door. */
export interface PinholeHouse {
  readonly service: PinholeService;
  /** Says who somebody is and what he may do; ask it for every request, it may be read anew. */
  readonly agents: AgentDirectory;
  readonly limits: LimitValues;
  readonly log: Log;
  /** Of the program. */
  readonly version: string;
}

/** An open door. */
export interface PinholeDoor {
  /** Where it is, for people: a path, or protocol, address and port. */
  readonly address: string;
  /** Lets nobody in any more, ends what is open, and resolves when all are gone. */
  close(): Promise<void>;
}

/**
 * Opens a door. Called when the pinholes of the former run are in force, and not before.
 *
 * @throws {FirewallError} when it cannot be opened
 */
export type OpenDoor = (house: PinholeHouse) => Promise<PinholeDoor>;
