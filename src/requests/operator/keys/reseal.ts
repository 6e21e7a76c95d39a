/** The verb `keys reseal`: what operators entered, under the newest master key, so that the older ones can be taken away. */

import { PawlError } from "../../../base/errors.ts";
import { recorded } from "../../../operate/recorded.ts";
import { type Verb, verb } from "../../../operate/verb.ts";
import { resealEach, type SecretHolder, secretHolder } from "../../../secrets/reseal.ts";
import type { Executor } from "../../../store/executor.ts";
import { keyRows, replaceSecrets } from "../../dispatch/sql.ts";
import type { Keys, KeysDesk, ResealedKeys } from "./keys.ts";

export const reseal: Verb<Keys["reseal"], KeysDesk> = verb({
  help: "Seal stored secrets again, with the first key of PAWL_SECRET_KEY",
  examples: [
    ["PAWL_SECRET_KEY=new:…,old:… pawl keys reseal", "then the old one can be taken away"],
  ],
  input: {},
  changes: true,
  run: async ({ store, otherSecrets }: KeysDesk, _, act): Promise<ResealedKeys> => {
    const { resealed, failed } = await recorded(store, async (executor) => {
      const holders = [...(await sealedKeys(executor)), ...(await otherSecrets(executor))];
      const result = await resealEach(holders);
      if (result.resealed.length === 0) return { result };
      const detail = { resealed: result.resealed };
      return { result, entry: { ...act, target: "keys", detail } };
    });
    if (failed.length > 0) throw notAll(act.where, resealed, failed);
    return { resealed };
  },
  json: ({ resealed }) => ({ action: "reseal", resealed }),
  text: ({ resealed }) =>
    resealed.length === 0
      ? "nothing to seal again: all is under the newest key"
      : `sealed again: ${resealed.join(", ")}`,
});

async function sealedKeys(executor: Executor): Promise<SecretHolder[]> {
  return (await keyRows(executor)).map(({ name }) =>
    secretHolder(
      `key ${name}`,
      async () => (await keyRows(executor)).find((one) => one.name === name)?.secrets,
      (before, after) => replaceSecrets(executor, name, { before, after }),
    ),
  );
}

/** `invalid_environment` says that nothing was changed. */
function notAll(where: string, resealed: readonly string[], failed: readonly string[]): PawlError {
  const done = resealed.length === 0 ? "none" : resealed.join(", ");
  return new PawlError(
    resealed.length === 0 ? "invalid_environment" : "not_resealed",
    `${where}: ${failed.length} could not be opened (${failed.join("; ")}); sealed again: ${done}`,
    { data: { resealed: [...resealed] } },
  );
}
