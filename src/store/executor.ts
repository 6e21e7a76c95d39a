/** The one thing that statements are sent through: the pool, our transaction or a foreign one. */

export interface Executor {
  rows<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}
