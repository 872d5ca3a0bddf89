/**
 * Where in the kernel a packet is met. Numbers are the kernel's own (`enum nf_inet_hooks`): they come with
 * every queued packet, and they, never addresses, give the direction.
 */
export const HOOK = {
  /** `NF_INET_LOCAL_IN`: on its way to a socket of this host. */
  INPUT: 1,
  /** `NF_INET_FORWARD`: crossing this host. */
  FORWARD: 2,
  /** `NF_INET_LOCAL_OUT`: sent by this host. */
  OUTPUT: 3,
} as const;

/** A hook by its kernel number. */
export type Hook = (typeof HOOK)[keyof typeof HOOK];

/** A hook by the name of its start chain. */
export type HookName = keyof typeof HOOK;

/** The hooks in the order in which people list them. */
export const HOOK_NAMES: readonly HookName[] = ["INPUT", "OUTPUT", "FORWARD"];

/** Name of a hook, `undefined` for a number that is none of ours. */
export function hookName(hook: number): HookName | undefined {
  return HOOK_NAMES.find((name) => HOOK[name] === hook);
}
