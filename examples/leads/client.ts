/** The client of this process: handlers read and enqueue with it. What they write goes through their task's own transaction. */

import { type App, connect, type Pawl, type Transaction } from "pawl";

let app: App | undefined;
let current: Promise<Pawl> | undefined;

/** Says of which app it is a client. The config does that: importing the config here would be a circle. */
export function useApp(given: App): void {
  app = given;
}

export function useClient(pawl: Pawl): void {
  current = Promise.resolve(pawl);
}

export function client(): Promise<Pawl> {
  if (app === undefined) throw new Error("import pawl.config.ts first");
  current ??= connect(app);
  return current;
}

type Row = Record<string, unknown>;

/** Reads in a short transaction of its own: none stays open during the slow calls that follow. */
export async function read<T extends Row>(sql: string, values: unknown[] = []): Promise<T[]> {
  const pawl = await client();
  return pawl.transaction((tx) => rowsOf<T>(tx, sql, values));
}

export async function rowsOf<T extends Row>(
  tx: Transaction,
  sql: string,
  values: unknown[] = [],
): Promise<T[]> {
  return (await tx.query(sql, values)).rows as T[];
}
