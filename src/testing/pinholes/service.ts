/** The service of pinholes alone, without doors. */
import { defaultLimits, type LimitValues } from "../../base/index.ts";
import {
  MemoryJournal,
  type PinholeJournal,
  PinholeService,
  type ServiceOptions,
} from "../../daemon/index.ts";
import { PinholeStore } from "../../pinhole/index.ts";
import { fakeEntropy } from "./agents.ts";

/** What a test says of its service; the rest is the same every time. */
export interface ServicePlan extends Pick<ServiceOptions, "backend" | "moment"> {
  /** An empty one when absent. */
  readonly journal?: PinholeJournal;
  /** Limits of the store; the defaults when absent. */
  readonly limits?: LimitValues;
}

/** Starts a service that gathers no commits; the caller closes it. */
export function startService({
  backend,
  moment,
  journal = new MemoryJournal(),
  limits = defaultLimits(),
}: ServicePlan): Promise<PinholeService> {
  return PinholeService.start({
    store: new PinholeStore({ limits, expansionMax: 8, entropy: fakeEntropy() }),
    journal,
    backend,
    moment,
    bootId: "boot",
    eventsKept: 100,
  });
}
