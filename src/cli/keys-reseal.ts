/** `pawl keys reseal`: what operators typed in, under the newest master key, so that the older ones can be taken away. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import { resealAll } from "../base/seal.ts";
import { type Act, recordAct } from "../kernel/people/audit/sql.ts";
import { destinationRows, replaceConfig } from "../outbox/operators/sql.ts";
import { keyRows, replaceSecrets } from "../requests/dispatch/sql.ts";
import type { Store } from "../store/store.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";

const TRIES_MAX = 10;

export function reseal(): Command {
  const made = command(
    "reseal",
    "Seal stored secrets anew, with the first key of PAWL_SECRET_KEY",
    [["PAWL_SECRET_KEY=new:…,old:… pawl keys reseal", "then the old one can be taken away"]],
  );
  return does<Act>(withAct(made), (call, options) =>
    withStore(call, async (store) => {
      const { resealed, failed, broken } = await resealEach(await secretHolders(store));
      const detail = { resealed };
      if (resealed.length > 0)
        await recordAct(store, { ...actOf(options), action: "reseal", target: "keys", detail });
      if (broken !== undefined) throw broken;
      if (failed.length > 0) throw notAll(resealed, failed);
      return { json: { action: "reseal", resealed }, text: textOf(resealed) };
    }),
  );
}

/** One that no key opens leaves the others their turn; anything else ends it, what was done being told. */
async function resealEach(
  holders: readonly Holder[],
): Promise<{ resealed: string[]; failed: string[]; broken?: unknown }> {
  const resealed: string[] = [];
  const failed: string[] = [];
  for (const { name, run } of holders) {
    try {
      if (await run()) resealed.push(name);
    } catch (thrown) {
      const isKeyMissing = thrown instanceof PawlError && thrown.code === "invalid_environment";
      if (!isKeyMissing) return { resealed, failed, broken: thrown };
      failed.push(thrown.message);
    }
  }
  return { resealed, failed };
}

interface Holder {
  name: string;
  /** Answers whether there was something to seal anew. What is changed meanwhile is read again. */
  run: () => Promise<boolean>;
}

async function secretHolders(store: Store): Promise<Holder[]> {
  const keys = (await keyRows(store)).map(({ name }) => ({
    name: `key ${name}`,
    run: () =>
      untilReplaced(
        `key ${name}`,
        async () => (await keyRows(store)).find((one) => one.name === name)?.secrets,
        (before, after) => replaceSecrets(store, name, { before, after }),
      ),
  }));
  const destinations = (await destinationRows(store))
    .filter(({ application }) => application === null)
    .map(({ name, id }) => ({
      name: `destination ${name}`,
      run: () =>
        untilReplaced(
          `destination ${name}`,
          async () => (await destinationRows(store, name)).find((one) => one.id === id)?.config,
          (before, after) => replaceConfig(store, id, { before, after }),
        ),
    }));
  return [...keys, ...destinations];
}

async function untilReplaced<Config>(
  name: string,
  read: () => Promise<Config | undefined>,
  replace: (before: Config, after: Config) => Promise<boolean>,
): Promise<boolean> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const before = await read();
    if (before === undefined) return false;
    const after = resealAll(before);
    if (after === before) return false;
    if (await replace(before, after)) return true;
  }
  throw new PawlError(
    "database_error",
    `pawl keys reseal: ${name} changed ${TRIES_MAX} times meanwhile, or holds what only SQL can have written; try again, or enter its secrets anew`,
    { data: { name } },
  );
}

function textOf(resealed: readonly string[]): string {
  if (resealed.length === 0) return "nothing to seal anew: all is under the newest key";
  return `sealed anew: ${resealed.join(", ")}`;
}

/** `invalid_environment` says that nothing was changed. */
function notAll(resealed: readonly string[], failed: readonly string[]): PawlError {
  const done = resealed.length === 0 ? "none" : resealed.join(", ");
  return new PawlError(
    resealed.length === 0 ? "invalid_environment" : "not_resealed",
    `pawl keys reseal: ${failed.length} could not be opened (${failed.join("; ")}); sealed anew: ${done}`,
    { data: { resealed: [...resealed] } },
  );
}
