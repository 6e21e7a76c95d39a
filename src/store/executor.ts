/** The one thing that statements are sent through: the pool, our transaction or a foreign one. */

export interface Executor {
  rows<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** Statements that are sent thousands of times: prepared where the connection allows it, times left as text. */
export interface PreparedExecutor extends Executor {
  prepared<Row>(text: string, values: readonly unknown[]): Promise<Row[]>;
}
