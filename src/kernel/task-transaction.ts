/**
 * The transaction that a handler writes through (`context.tx`). It begins with its first statement; the settle is its
 * last one, so the effects and the outcome commit together. While it is open the server ends it by itself once the
 * worker has been silent for a lease, so that a frozen worker holds no locks.
 */

import { backoffMs } from "../base/backoff.ts";
import { PawlError } from "../base/errors.ts";
import { translateDatabaseError } from "../store/sqlstate.ts";
import type { OpenTransaction, Store } from "../store/store.ts";
import { asOwn, executorIn, type Transaction } from "../store/transaction.ts";
import { type Settlement, settled, settleInTransaction, signOfLife, silenceLimit } from "./sql.ts";
import type { ClaimedTask } from "./task.ts";
import { Recoverable } from "./thrown.ts";

/** A handler that waits for something else must not look frozen: its transaction says something this often. */
const SIGN_OF_LIFE_MS = 3_000;
const ASK_AGAIN_MS = { baseMs: 50, maxMs: 2_000 };

export interface TaskTransactions {
  /** For what is asked outside the transaction. */
  store: Store;
  /** Its pool bounds how many handlers have one open. */
  pool: Store;
  workerId: number;
}

export class TaskTransaction {
  /** What the handler is given; usable until the handler ends. */
  readonly tx: Transaction;
  readonly #with: TaskTransactions;
  readonly #task: ClaimedTask;
  #opening: Promise<OpenTransaction> | undefined;
  #open: OpenTransaction | undefined;
  #alive: NodeJS.Timeout | undefined;
  #pending = 0;
  #hasEnded = false;
  #isAbandoned = false;

  constructor(task: ClaimedTask, transactions: TaskTransactions) {
    this.#task = task;
    this.#with = transactions;
    this.tx = asOwn({
      query: async <Row>(text: string, values?: unknown[]) => {
        this.#opening ??= this.#begin();
        const { tx } = await this.#opening;
        this.#pending += 1;
        return tx.query<Row>(text, values).finally(() => {
          this.#pending -= 1;
        });
      },
    });
  }

  get isUsed(): boolean {
    return this.#opening !== undefined;
  }

  /** Settles and commits. @throws what made it roll back */
  async commit(result: string | null): Promise<void> {
    const open = await this.#opening;
    if (open === undefined) return;
    if (this.#hasEnded) throw this.#aborted();
    this.#hasEnded = true;
    clearInterval(this.#alive);
    const settlement = await this.#settle(open, result);
    try {
      await open.commit();
    } catch (error) {
      if (translateDatabaseError(error).code !== "database_unreachable") throw error;
      await this.#resolve(settlement.xid);
    }
  }

  /** Ends it without effect. */
  async rollback(): Promise<void> {
    this.#end();
    await this.#opening?.then(
      (open) => open.rollback(),
      () => undefined,
    );
  }

  /** The same without waiting for a statement that still runs. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#end();
    if (this.#open !== undefined) this.#open.abandon();
    else this.#opening?.then((open) => open.abandon()).catch(() => undefined);
  }

  #end(): void {
    this.#hasEnded = true;
    clearInterval(this.#alive);
  }

  async #begin(): Promise<OpenTransaction> {
    this.#requireRunning();
    const open = await this.#with.pool.begin();
    try {
      this.#requireRunning(); // it may have ended while it waited for a connection
      await silenceLimit(executorIn(open.tx));
      this.#requireRunning();
    } catch (error) {
      open.abandon();
      throw error;
    }
    this.#open = open;
    this.#alive = setInterval(() => this.#signOfLife(open.tx), SIGN_OF_LIFE_MS);
    this.#alive.unref();
    return open;
  }

  #requireRunning(): void {
    if (!this.#hasEnded) return;
    throw new PawlError(
      "not_a_transaction",
      `task ${this.#task.id}: context.tx was used after the handler ended; await everything inside it`,
    );
  }

  #signOfLife(tx: Transaction): void {
    if (this.#pending === 0) void signOfLife(executorIn(tx)).catch(() => undefined);
  }

  async #settle(open: OpenTransaction, result: string | null): Promise<Settlement> {
    let settlement: Settlement | undefined;
    try {
      const { workerId } = this.#with;
      settlement = await settleInTransaction(executorIn(open.tx), workerId, this.#task, result);
    } catch (thrown) {
      await open.rollback();
      throw this.#explained(translateDatabaseError(thrown));
    }
    if (settlement?.is_settled === true) return settlement;
    await open.rollback();
    throw new PawlError(
      "lease_lost",
      `task ${this.#task.id}: no longer this worker's, its transaction was rolled back`,
    );
  }

  #explained(error: PawlError): PawlError {
    if (error.data.sqlstate !== "25P02") return error;
    return new PawlError(
      "database_error",
      `task ${this.#task.id}: a statement sent through context.tx failed and its error was swallowed, so nothing was committed; let the error out, or use a savepoint`,
      { cause: error },
    );
  }

  #aborted(): PawlError {
    return new PawlError("worker_stopping", `task ${this.#task.id}: aborted`);
  }

  /** COMMIT had no answer: history knows. Who has given the task up does not wait for it. */
  async #resolve(xid: string): Promise<void> {
    const { store, workerId } = this.#with;
    for (let tries = 1; ; tries += 1) {
      const fate = await settled(store, workerId, this.#task, xid).catch(() => "open");
      if (fate === "committed") return;
      if (fate === "rolled_back") {
        throw new Recoverable(
          `task ${this.#task.id}: the connection was lost at COMMIT, and nothing was committed`,
        );
      }
      if (this.#isAbandoned) throw this.#aborted();
      await new Promise((resolve) => setTimeout(resolve, backoffMs(tries, ASK_AGAIN_MS)));
    }
  }
}
