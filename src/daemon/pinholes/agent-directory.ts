/**
 * Who is who: turns what a door has made sure of into an agent with its profile.
 *
 * Agents come from a file, which can be read anew while the doors are open; the next request of everybody is
 * held against what it says then. Two are there without any file: root, who may do everything, and the user
 * that the socket belongs to.
 */
import { FirewallError, fileFailure } from "../../base/index.ts";
import { ADMINISTRATOR_PROFILE, type Agent, DEFAULT_PROFILE } from "../../pinhole/index.ts";
import { resolveGroup, resolveUser } from "../../system/index.ts";
import { readBoundedText } from "../bounded-file.ts";
import type { Log } from "../log.ts";
import { type AgentEntry, type AgentFile, parseAgentFile } from "./agent-file.ts";

/** What a door has made sure of. */
export type Identity =
  | { readonly kind: "user"; readonly userId: number; readonly groupIds: readonly number[] }
  /** Names of a client certificate, in the form of {@link AgentEntry.certificates}. */
  | { readonly kind: "certificate"; readonly names: readonly string[] };

/** Where agents come from. */
export interface AgentSources {
  /** The file; absent: there is none. */
  readonly file?: string;
  /** The user that the socket belongs to. */
  readonly socketUser?: { readonly name: string; readonly userId: number };
}

/** Largest file, in bytes. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;
const ROOT_ID = 0;
const ROOT: Agent = { name: "root", profile: ADMINISTRATOR_PROFILE };

/** The agents of one reading of the file. */
class AgentBook {
  readonly #users: Map<number, Agent> = new Map();
  readonly #groups: Map<number, Agent> = new Map();
  readonly #certificates: Map<string, Agent> = new Map();
  readonly #names: Map<string, { readonly agent: Agent; readonly key?: Uint8Array }> = new Map();

  constructor(entries: readonly AgentEntry[], { file = "", socketUser }: AgentSources) {
    for (const entry of entries) this.#enter(entry, file);
    if (!this.#users.has(ROOT_ID)) this.#add(this.#users, ROOT_ID, ROOT, file);
    if (socketUser === undefined || this.#users.has(socketUser.userId)) return;
    this.#add(this.#users, socketUser.userId, { name: socketUser.name, profile: DEFAULT_PROFILE }, file);
  }

  /** An agent by its name, with the key that is shared with it. */
  find(name: string): { readonly agent: Agent; readonly key?: Uint8Array } | undefined {
    return this.#names.get(name);
  }

  identify(identity: Identity): Agent | undefined {
    if (identity.kind === "user") {
      const group = identity.groupIds.find((id) => this.#groups.has(id));
      return this.#users.get(identity.userId) ?? (group === undefined ? undefined : this.#groups.get(group));
    }
    const name = identity.names.find((one) => this.#certificates.has(one));
    return name === undefined ? undefined : this.#certificates.get(name);
  }

  #enter(entry: AgentEntry, file: string): void {
    const agent: Agent = { name: entry.name, profile: entry.profile };
    const { simcoKey: key } = entry;
    this.#names.set(agent.name, { agent, ...(key === undefined ? {} : { key }) });
    for (const user of entry.users) this.#add(this.#users, accountId("user", user, file), agent, file);
    for (const group of entry.groups) this.#add(this.#groups, accountId("group", group, file), agent, file);
    for (const name of entry.certificates) this.#add(this.#certificates, certificateName(name), agent, file);
  }

  #add<Key>(agents: Map<Key, Agent>, key: Key, agent: Agent, file: string): void {
    const other = agents.get(key);
    if (other !== undefined) {
      const message = `${file}: ${String(key)} belongs to the agents ${other.name} and ${agent.name}.`;
      throw new FirewallError("AGENTS_INVALID", message);
    }
    agents.set(key, agent);
    if (!this.#names.has(agent.name)) this.#names.set(agent.name, { agent });
  }
}

function accountId(kind: "user" | "group", name: string, file: string): number {
  const id = kind === "user" ? resolveUser(name) : resolveGroup(name);
  if (id === undefined) throw new FirewallError("AGENTS_INVALID", `${file}: there is no ${kind} "${name}".`);
  return id;
}

/** Fingerprints are written with and without colons, in either case. */
function certificateName(name: string): string {
  return name.startsWith("sha256:") ? `sha256:${name.slice(7).replaceAll(":", "").toLowerCase()}` : name;
}

function readFile({ file }: AgentSources): AgentFile {
  if (file === undefined) return parseAgentFile("", "{}");
  let text: string;
  try {
    text = readBoundedText(file, FILE_BYTES_MAX);
  } catch (cause) {
    throw fileFailure("AGENTS_UNREADABLE", `cannot read the agents in ${file}`, cause);
  }
  return parseAgentFile(file, text);
}

/** The agents, as the file says now. */
export class AgentDirectory {
  /** Limits of the daemon, as the file said when it was read first. */
  readonly limits: AgentFile["limits"];
  /** True: somebody else's pinhole looks as if it were not there; as the file said when it was read first. */
  readonly hidesForeign: boolean;
  /** What addresses and ports may be translated to, as the file said when it was read first. */
  readonly translation: AgentFile["translation"];
  readonly #sources: AgentSources;
  #book: AgentBook;

  /** @throws {FirewallError} `AGENTS_UNREADABLE`, `AGENTS_INVALID` */
  constructor(sources: AgentSources) {
    const { agents, limits, translation, hidesForeign } = readFile(sources);
    this.#sources = sources;
    this.#book = new AgentBook(agents, sources);
    this.limits = limits;
    this.translation = translation;
    this.hidesForeign = hidesForeign;
  }

  /**
   * Reads the file anew. When it is wrong, everything stays as it is.
   *
   * @throws {FirewallError} `AGENTS_UNREADABLE`, `AGENTS_INVALID`
   */
  reload(): void {
    this.#book = new AgentBook(readFile(this.#sources).agents, this.#sources);
  }

  /** Reads the file anew; when it is wrong, everything stays as it is, and the log says why. */
  reloadOrKeep(log: Log): void {
    try {
      this.reload();
      log.info("read the agents anew");
    } catch (error) {
      log.error(`the agents stay as they are: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** The agent that an identity belongs to; undefined when nobody named it. */
  identify(identity: Identity): Agent | undefined {
    return this.#book.identify(identity);
  }

  /** The agent of this name; undefined when there is none. */
  byName(name: string): Agent | undefined {
    return this.#book.find(name)?.agent;
  }

  /** The key that is shared with an agent, for SIMCO; undefined when there is none. */
  keyOf(name: string): Uint8Array | undefined {
    return this.#book.find(name)?.key;
  }
}
