/**
 * What modules with rules or recognisers of one's own are handed beside the registry, so that they need not
 * find this package: a module in /etc has no node_modules above it.
 */
import { CONFIDENCE, DONE, HANDED_OVER, NO_MATCH, OTHER_SIDE } from "../recognise/index.ts";
import {
  choice,
  decimal,
  flag,
  integer,
  listOf,
  optional,
  pairOf,
  required,
  text,
  withDefault,
} from "./argument.ts";
import { ANSWER, CONTENT, ContentRule } from "./content.ts";
import { FLOW, makeGate, NEEDS, Rule, VerdictRule } from "./rule.ts";
import { SourceTable } from "./source-table.ts";
import { tableName } from "./table-declaration.ts";
import { network, port, portProtocol } from "./value-types.ts";

/** Base classes, argument types and constants, under the names by which `postern/rules` exports them. */
export const ruleToolkit = {
  Rule,
  VerdictRule,
  NEEDS,
  FLOW,
  makeGate,
  SourceTable,
  ContentRule,
  CONTENT,
  ANSWER,
  CONFIDENCE,
  NO_MATCH,
  DONE,
  OTHER_SIDE,
  HANDED_OVER,
  required,
  optional,
  withDefault,
  integer,
  decimal,
  flag,
  text,
  choice,
  listOf,
  pairOf,
  network,
  port,
  portProtocol,
  tableName,
} as const;
