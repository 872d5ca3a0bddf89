/**
 * How a session comes to be open: SE, and SA when somebody must prove something (RFC 4540 sections 7.2 and
 * 7.3).
 */
import type { Milliseconds } from "../../base/index.ts";
import type { Agent } from "../../pinhole/index.ts";
import type { Message, MessageOf } from "../message.ts";
import { VERSION } from "../parameter-set.ts";
import type { ReplyName } from "../reply-code.ts";
import { claimedIdentity, isProof, makeToken, ROLE } from "../token.ts";
import { type Box, capabilitiesFor } from "./box.ts";
import type { Peer } from "./transport.ts";

/** Octets of our challenges. */
const CHALLENGE_OCTETS = 16;

/** How long a challenge can be answered, in milliseconds. */
const CHALLENGE_MS = 30_000;

/** What an opening needs to know. */
export interface OpeningFacts {
  readonly box: Box;
  readonly peer: Peer;
  /** True: there is no room for a session, or none for this peer now. */
  readonly isFull: boolean;
  readonly now: Milliseconds;
}

/** What becomes of SE or SA. */
export type OpeningOutcome =
  | { readonly event: "accept" | "prove"; readonly agent: Agent; readonly reply: Message }
  | { readonly event: "challenge"; readonly reply: Message }
  | { readonly event: "end"; readonly refusal: ReplyName };

function refuse(refusal: ReplyName): OpeningOutcome {
  return { event: "end", refusal };
}

/** One session being opened. */
export class Opening {
  #challenge: Uint8Array = new Uint8Array(0);
  #challengedAt: Milliseconds = 0;

  /** Answers SE. */
  begin(request: MessageOf<"SE">, facts: OpeningFacts): OpeningOutcome {
    const { peer, box } = facts;
    const refusal = refusalOf(request, facts);
    if (refusal !== undefined) return refuse(refusal);
    const known = peer.agent === undefined ? undefined : box.directory.agent(peer.agent);
    if (peer.agent !== undefined && known === undefined) return refuse("NO_AUTHORIZATION");
    // An empty challenge is none (DEC-10).
    const isAsked = request.challenge !== undefined && request.challenge.length > 0;
    if (known !== undefined && !isAsked) return this.#accept("accept", known, request.tid, box);
    return { event: "challenge", reply: this.#answer(request, facts, known) };
  }

  /** Answers SA. */
  prove(request: MessageOf<"SA">, facts: OpeningFacts): OpeningOutcome {
    const { peer, box, now } = facts;
    const name = peer.agent ?? this.#provenName(request.token, facts);
    if (name === undefined || now - this.#challengedAt > CHALLENGE_MS) return refuse("AUTH_FAILED");
    const agent = box.directory.agent(name);
    return agent === undefined ? refuse("NO_AUTHORIZATION") : this.#accept("prove", agent, request.tid, box);
  }

  #accept(event: "accept" | "prove", agent: Agent, tid: number, box: Box): OpeningOutcome {
    const capabilities = capabilitiesFor(box, agent.profile);
    return { event, agent, reply: { name: "SE_REPLY", tid, capabilities } };
  }

  #answer({ tid, challenge }: MessageOf<"SE">, facts: OpeningFacts, known: Agent | undefined): Message {
    const { box, peer, now } = facts;
    this.#challengedAt = now;
    if (known === undefined) this.#challenge = box.entropy(CHALLENGE_OCTETS);
    const asked = known === undefined ? { challenge: this.#challenge } : {};
    if (challenge === undefined || challenge.length === 0) return { name: "SA_REPLY", tid, ...asked };
    const claim = { role: ROLE.MIDDLEBOX, identity: box.identity, challenge, binding: peer.binding };
    // An empty token says that we cannot (RFC 4540 section 4.3.2).
    const token = box.key === undefined ? new Uint8Array(0) : makeToken(claim, box.key, box.mac);
    return { name: "SA_REPLY", tid, ...asked, token };
  }

  #provenName(token: Uint8Array | undefined, { box, peer }: OpeningFacts): string | undefined {
    const identity = token === undefined ? undefined : claimedIdentity(token);
    if (token === undefined || identity === undefined) return undefined;
    const key = box.directory.key(identity);
    const claim = { role: ROLE.AGENT, identity, challenge: this.#challenge, binding: peer.binding };
    return key !== undefined && isProof(token, claim, key, box.mac) ? identity : undefined;
  }
}

/** The checks of SE in their order. */
function refusalOf({ version }: MessageOf<"SE">, { peer, isFull }: OpeningFacts): ReplyName | undefined {
  if (isFull) return "SESSION_RESOURCES";
  if (!peer.isWelcome) return "TRANSPORT_PROBLEM";
  if (!peer.isProtected) return "SECURITY_INSUFFICIENT";
  const isOurs = version.major === VERSION.major && version.minor === VERSION.minor;
  return isOurs ? undefined : "VERSION_MISMATCH";
}
