/**
 * The transaction that a handler writes through (`context.tx`). It begins with its first statement; the settle is its
 * last one, so the effects and the outcome commit together. While it is open the server ends it by itself once the
 * worker has been silent for a lease, so that a frozen worker holds no locks.
 */

import { backoffMs } from "../../base/backoff.ts";
import { PawlError } from "../../base/errors.ts";
import { translateDatabaseError } from "../../store/sqlstate.ts";
import type { OpenTransaction, Store } from "../../store/store.ts";
import { executorIn, handleOn, type Transaction } from "../../store/transaction.ts";
import type { ClaimedTask } from "../task.ts";
import { Recoverable } from "../thrown.ts";
import { keepAlive } from "./alive.ts";
import type { Seal, Settlement } from "./seal.ts";
import { LIMIT_SILENCE } from "./sql.ts";

const ASK_AGAIN_MS = { baseMs: 50, maxMs: 2_000 };

export interface TaskTransactions {
  /** For statements outside the transaction. */
  store: Store;
  /** The size of its pool limits how many handlers have a transaction open. */
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
  #stopAlive: () => void = () => undefined;
  #pending = 0;
  #hasEnded = false;
  #isAbandoned = false;

  constructor(task: ClaimedTask, transactions: TaskTransactions) {
    this.#task = task;
    this.#with = transactions;
    this.tx = handleOn(async (statement) => {
      this.#opening ??= this.#begin();
      const { tx } = await this.#opening;
      this.#pending += 1;
      return statement(tx).finally(() => {
        this.#pending -= 1;
      });
    });
  }

  /** Begins it now, and not with its first statement. */
  async begin(): Promise<void> {
    this.#opening ??= this.#begin();
    await this.#opening;
  }

  get isUsed(): boolean {
    return this.#opening !== undefined;
  }

  /** Records what `seal` says, and commits. @throws what made it roll back */
  async commit(seal: Seal): Promise<void> {
    const open = await this.#opening;
    if (open === undefined) return;
    if (this.#hasEnded) throw this.#aborted();
    this.#hasEnded = true;
    this.#stopAlive();
    const settlement = await this.#settle(open, seal);
    try {
      await open.commit();
    } catch (error) {
      if (translateDatabaseError(error).code !== "database_unreachable") throw error;
      await this.#resolve(seal, settlement.xid);
    }
  }

  /** Rolls it back. */
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
    this.#stopAlive();
  }

  async #begin(): Promise<OpenTransaction> {
    this.#requireRunning();
    const open = await this.#with.pool.begin(LIMIT_SILENCE);
    try {
      this.#requireRunning(); // it may have ended while it waited for a connection
    } catch (error) {
      open.abandon();
      throw error;
    }
    this.#stopAlive = keepAlive(open.tx, () => this.#pending > 0);
    this.#open = open;
    return open;
  }

  #requireRunning(): void {
    if (!this.#hasEnded) return;
    throw new PawlError(
      "not_a_transaction",
      `task ${this.#task.id}: context.tx was used after the handler ended; await everything inside it`,
    );
  }

  async #settle(open: OpenTransaction, seal: Seal): Promise<Settlement> {
    let settlement: Settlement | undefined;
    try {
      settlement = await seal.record(executorIn(open.tx));
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

  /** COMMIT had no answer: the database knows what became of it. A caller that has given the task up does not wait. */
  async #resolve(seal: Seal, xid: string): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const fate = await seal.fate(this.#with.store, xid).catch(() => "open");
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
