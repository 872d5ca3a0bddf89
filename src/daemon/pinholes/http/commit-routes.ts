/** Routes that change pinholes together: commits in one call, and transactions over several. */
import type { CommitAnswer, Transaction } from "../../../pinhole/index.ts";
import type { PinholeHouse } from "../pinhole-door.ts";
import { CHANGE_PROBLEMS } from "./problem.ts";
import { type OperationWords, readOperations } from "./operation-words.ts";
import type { PinholeCall, PinholeReply, PinholeRoute, Schema } from "./route.ts";
import { SCHEMAS, STAGING } from "./schema.ts";
import { type CommitWish, TransactionDesk } from "./transaction-desk.ts";

interface CommitBody {
  readonly operations: readonly OperationWords[];
  readonly expectGeneration?: number;
}

const COMMITTED = {
  200: { description: "It is in force.", schema: "CommitAnswer" },
  202: { description: "It is written and survives a crash; it is not yet in force.", schema: "CommitAnswer" },
} as const;
const WAIT: Readonly<Record<string, Schema>> = {
  wait: {
    type: "string",
    enum: ["force", "journal"],
    description: "When to answer: in force (force, or absent), or as soon as it is written (journal).",
  },
};

/** What is asked for as to when to answer. */
function waitOf({ query }: PinholeCall): CommitWish["wait"] {
  return query["wait"] === "journal" ? "journal" : "force";
}

function replyOf(answer: CommitAnswer): PinholeReply {
  return { status: answer.isInForce === false ? 202 : 200, body: answer };
}

const TRANSACTION: Readonly<Record<string, Schema>> = {
  transaction: { type: "string", description: "Id of an open transaction." },
};

function applyRoute({ service }: PinholeHouse): PinholeRoute {
  return {
    method: "POST",
    path: "/v1/commits",
    id: "apply",
    summary: "Does several things at once, all or nothing, and answers when they are in force.",
    body: SCHEMAS.Commit,
    isIdempotent: true,
    query: WAIT,
    answers: COMMITTED,
    problems: [...CHANGE_PROBLEMS, "GENERATION_MISMATCH", "KEY_REUSED"],
    handle: async (call) => {
      const { agent, body, idempotencyKey } = call;
      const { operations, expectGeneration } = body as CommitBody;
      const wait = waitOf(call);
      const answer = await service.apply(agent, readOperations(operations), {
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
        ...(expectGeneration === undefined ? {} : { expectGeneration }),
        ...(wait === "journal" ? { wait } : {}),
      });
      return replyOf(answer);
    },
  };
}

function idOf({ params }: PinholeCall): string {
  return params["transaction"] ?? "";
}

/** Routes by which a transaction begins, and is looked at. */
function openingRoutes({ service }: PinholeHouse, desk: TransactionDesk): PinholeRoute[] {
  const view = ({ id, deadline, operations }: Transaction): object => ({
    id,
    secondsLeft: Math.max(0, (deadline - service.moment.now) / 1000),
    operations: operations.length,
  });
  return [
    {
      method: "POST",
      path: "/v1/transactions",
      id: "begin",
      summary: "Opens a transaction. Without a commit it is rolled back after 30 seconds.",
      isIdempotent: true,
      answers: {
        201: { description: "It is open.", schema: "Transaction", headers: { location: "Where it is." } },
      },
      problems: ["SPEC_MALFORMED", "QUOTA_EXCEEDED", "KEY_REUSED"],
      handle: ({ agent, idempotencyKey }) => {
        const transaction = desk.begin(agent, idempotencyKey);
        const headers = { location: `/v1/transactions/${transaction.id}` };
        return { status: 201, headers, body: view(transaction) };
      },
    },
    {
      method: "GET",
      path: "/v1/transactions/:transaction",
      id: "getTransaction",
      summary: "How an open transaction stands.",
      params: TRANSACTION,
      answers: { 200: { description: "The transaction.", schema: "Transaction" } },
      problems: ["NO_SUCH_TRANSACTION"],
      handle: (call) => ({ body: view(desk.find(call.agent, idOf(call))) }),
    },
  ];
}

/** Routes by which a transaction goes on, and ends. */
function closingRoutes(desk: TransactionDesk): PinholeRoute[] {
  return [
    {
      method: "POST",
      path: "/v1/transactions/:transaction/operations",
      id: "stage",
      summary: "Adds an operation, or several, and says at once what pinholes will be called.",
      params: TRANSACTION,
      body: STAGING,
      isIdempotent: true,
      answers: { 200: { description: "They are staged; nothing has taken effect.", schema: "Staged" } },
      problems: [
        "NO_SUCH_TRANSACTION",
        "SPEC_MALFORMED",
        "SPEC_INCONSISTENT",
        "QUOTA_EXCEEDED",
        "KEY_REUSED",
      ],
      handle: (call) => {
        const body = call.body as OperationWords | CommitBody;
        const operations = readOperations("operations" in body ? body.operations : [body]);
        const transaction = desk.find(call.agent, idOf(call));
        return { body: { staged: desk.stage(transaction, operations, call.idempotencyKey) } };
      },
    },
    {
      method: "POST",
      path: "/v1/transactions/:transaction/commit",
      id: "commit",
      summary: "Puts a transaction into force, all or nothing. May be asked again when the answer was lost.",
      params: TRANSACTION,
      body: SCHEMAS.CommitOptions,
      isIdempotent: true,
      query: WAIT,
      answers: COMMITTED,
      problems: [...CHANGE_PROBLEMS, "NO_SUCH_TRANSACTION", "GENERATION_MISMATCH", "KEY_REUSED"],
      handle: async (call) => {
        const { expectGeneration } = (call.body ?? {}) as Partial<CommitBody>;
        const wish = { key: call.idempotencyKey, expectGeneration, wait: waitOf(call) };
        return replyOf(await desk.commit(call.agent, idOf(call), wish));
      },
    },
    {
      method: "DELETE",
      path: "/v1/transactions/:transaction",
      id: "rollback",
      summary: "Gives a transaction up. Nothing of it stays.",
      params: TRANSACTION,
      answers: { 204: { description: "It is gone." } },
      problems: ["NO_SUCH_TRANSACTION"],
      handle: (call) => {
        desk.rollback(call.agent, idOf(call));
        return { status: 204 };
      },
    },
  ];
}

/** The routes. */
export function commitRoutes(house: PinholeHouse): PinholeRoute[] {
  const desk = new TransactionDesk(house.service);
  return [applyRoute(house), ...openingRoutes(house, desk), ...closingRoutes(desk)];
}
