/** Statements with a time limit, for what people may make expensive, such as conditions: the server ends them. */

import { PawlError } from "../base/errors.ts";
import type { Executor } from "./executor.ts";
import { translateDatabaseError } from "./sqlstate.ts";
import type { Store } from "./store.ts";
import { executorIn } from "./transaction.ts";

const QUERY_CANCELED = "57014";

/** One statement without parameters, in one round trip: both are one transaction. @throws PawlError, see `isTimedOut` */
export function limitedRows<Row>(
  executor: Executor,
  limitMs: number,
  text: string,
): Promise<Row[]> {
  return executor.rows(`set local statement_timeout to ${Math.ceil(limitMs)}; ${text}`);
}

/** A transaction in which each statement has the limit. @throws PawlError, see `isTimedOut` */
export function limited<T>(
  store: Store,
  limitMs: number,
  work: (executor: Executor) => Promise<T>,
): Promise<T> {
  return store.transaction(async (tx) => {
    const executor = translating(executorIn(tx));
    await executor.rows("select set_config('statement_timeout', $1, true)", [
      String(Math.ceil(limitMs)),
    ]);
    return work(executor);
  });
}

function translating(executor: Executor): Executor {
  return {
    rows: async <Row>(...statement: Parameters<Executor["rows"]>) => {
      try {
        return await executor.rows<Row>(...statement);
      } catch (error) {
        throw translateDatabaseError(error);
      }
    },
  };
}

export function isTimedOut(thrown: unknown): boolean {
  return translateDatabaseError(thrown).data.sqlstate === QUERY_CANCELED;
}

/** For a person who asked. */
export function tookTooLong(
  what: string,
  limitMs: number,
  remedy: string,
  cause: unknown,
): PawlError {
  return new PawlError("took_too_long", `${what} took longer than ${limitMs} ms; ${remedy}`, {
    cause,
  });
}
