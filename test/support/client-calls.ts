import type { Pawl } from "../../src/index.ts";

export type Call = (...given: unknown[]) => unknown;

/** Every call of a client by its name, such as `sources.pause`; its app, store and URL are none. */
export function clientCalls(pawl: Pawl): [name: string, call: Call][] {
  if (pawl.app.schema !== pawl.store.schema) throw new Error("the client is of another app");
  const values = new Set(["app", "store", "databaseUrl"]);
  return callsIn(
    "",
    Object.fromEntries(Object.entries(pawl).filter(([name]) => !values.has(name))),
  );
}

function callsIn(path: string, nouns: object): [name: string, call: Call][] {
  return Object.entries(nouns).flatMap(([name, value]: [string, object]) =>
    typeof value === "function"
      ? [[path + name, value as Call] satisfies [string, Call]]
      : callsIn(`${path}${name}.`, value),
  );
}
