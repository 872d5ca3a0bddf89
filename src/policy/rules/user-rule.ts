/** UserRule: whose program sends a packet. */
import type { Packet } from "../../wire/index.ts";
import { optional } from "../argument.ts";
import type { Condition, OwnerTest } from "../condition.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { NEEDS, Rule } from "../rule.ts";
import { group, user } from "../value-types.ts";

function ownerTests(field: OwnerTest["field"], id: number | undefined): OwnerTest[] {
  return id === undefined ? [] : [{ field, id }];
}

class UserRule extends Rule {
  override readonly needs: number = NEEDS.OWNER;
  override readonly condition: Condition;
  readonly #user: number | undefined;
  readonly #group: number | undefined;

  constructor(userId: number | undefined, groupId: number | undefined) {
    super();
    this.condition = [...ownerTests("userId", userId), ...ownerTests("groupId", groupId)];
    this.#user = userId;
    this.#group = groupId;
  }

  override match(packet: Packet): boolean {
    if (this.#user !== undefined && packet.userId !== this.#user) return false;
    return this.#group === undefined || packet.groupId === this.#group;
  }

  override explain(packet: Packet): string {
    const clause = (noun: string, wanted: number | undefined, found: number): string[] =>
      wanted === undefined ? [] : [`${noun} ${found} is ${found === wanted ? "" : "not "}${wanted}`];
    return [
      ...clause("user", this.#user, packet.userId),
      ...clause("group", this.#group, packet.groupId),
    ].join(", ");
  }
}

/** `UserRule`. */
export const userRule: RuleDefinition = defineRule({
  summary:
    "Matches packets sent by the programs of a user or a " +
    "group of this host (chain OUTPUT only); a packet without an " +
    "owner, such as the kernel's own, matches neither way.",
  arguments: {
    user: optional(user, "User name or id."),
    group: optional(group, "Group name or id."),
  },
  action: "required",
  check(values, check) {
    if (values.user === undefined && values.group === undefined) {
      check.error(undefined, 'give "user" or "group" or both');
    }
  },
  create: (values) => new UserRule(values.user, values.group),
});
