/** What the acts of operators work with, and the transaction in which each of their changes is made. */

import { PawlError, shown } from "../../base/errors.ts";
import { didYouMean } from "../../base/suggest.ts";
import { dataText } from "../../base/text.ts";
import type { Executor } from "../../store/executor.ts";
import type { Store } from "../../store/store.ts";
import { inForeignTransaction } from "../../store/transaction.ts";
import type { References } from "../destinations/references.ts";
import type { DestinationType } from "../destinations/types.ts";
import type { NamedDestination } from "../routes.ts";
import { type DestinationRow, destinationRows, lockDefinitions } from "./sql.ts";

export interface Operators {
  store: Store;
  /** That can be added: Pawl's and the app's. */
  types: readonly DestinationType[];
  /** Of the app's code. */
  destinations: readonly NamedDestination[];
  /** Private hosts that may be reached, as in the app's `http`. */
  allow: readonly string[];
  /** The variables and files that destinations may refer to; default those that any app lets them. */
  references?: References;
}

/** One change after the other: what is read in `work` still holds when it writes. */
export function changing<T>(store: Store, work: (executor: Executor) => Promise<T>): Promise<T> {
  return store.ownTransaction(async (tx) => {
    const done = await inForeignTransaction(
      tx,
      (text) => text, // our own transaction puts the schema's name in by itself
      async (executor) => {
        await lockDefinitions(executor);
        return { value: await work(executor) };
      },
    );
    return done.value;
  });
}

/** @throws PawlError `unknown_destination_type` */
export function requireType(types: readonly DestinationType[], name: string): DestinationType {
  const found = types.find((one) => one.type === name);
  if (found !== undefined) return found;
  const known = types.map((one) => one.type);
  throw new PawlError(
    "unknown_destination_type",
    `no type of destination ${shown(name)}; ${didYouMean(String(name), known)}`,
    { data: { type: dataText(name), known } },
  );
}

/** @throws PawlError `unknown_destination` */
export async function requireDestination(
  executor: Executor,
  name: string,
): Promise<DestinationRow> {
  const [row] = await destinationRows(executor, name);
  if (row !== undefined) return row;
  throw await unknownDestination(executor, name);
}

export async function unknownDestination(executor: Executor, name: string): Promise<PawlError> {
  const known = (await destinationRows(executor)).map((one) => one.name);
  return new PawlError(
    "unknown_destination",
    `no destination ${shown(name)}; ${didYouMean(String(name), known)}`,
    { data: { destination: dataText(name) } },
  );
}

/** The same, when an operator made it. @throws PawlError `unknown_destination`, `owned_by_code` */
export async function requireOperators(executor: Executor, name: string): Promise<DestinationRow> {
  const row = await requireDestination(executor, name);
  if (row.application === null) return row;
  throw new PawlError(
    "owned_by_code",
    `destination "${name}" is defined in the code of app "${row.application}"; change it there; pausing, resuming and testing work here too`,
    { data: { destination: name, application: row.application } },
  );
}

export function ownerOf(application: string | null): string {
  return application === null ? "operator" : `code of app ${application}`;
}
