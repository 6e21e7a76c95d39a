/** The one thing that statements are sent through: the pool, our transaction or a foreign one. */

/** The longest that a statement of ours waits for its answer, unless it says otherwise. */
export const STATEMENT_MS = 60_000;
/** Of a background loop's: it will be made again. */
export const LOOP_MS = 8_000;

/** Of foreign transactions the caller's own limits hold, not `timeoutMs`. */
export interface Executor {
  rows<Row>(text: string, values?: readonly unknown[], timeoutMs?: number): Promise<Row[]>;
}

/** Statements that are sent thousands of times: prepared where the connection allows it, times left as text. */
export interface PreparedExecutor extends Executor {
  prepared<Row>(text: string, values: readonly unknown[], timeoutMs?: number): Promise<Row[]>;
}
