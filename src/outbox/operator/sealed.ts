/** The destinations of operators, as holders of sealed secrets. */

import { type SecretHolder, secretHolder } from "../../secrets/reseal.ts";
import type { Executor } from "../../store/executor.ts";
import { destinationRows, replaceConfig } from "./sql.ts";

export async function sealedDestinations(executor: Executor): Promise<SecretHolder[]> {
  return (await destinationRows(executor))
    .filter(({ application }) => application === null)
    .map(({ name, id }) =>
      secretHolder(
        `destination ${name}`,
        async () => (await destinationRows(executor, name)).find((one) => one.id === id)?.config,
        (before, after) => replaceConfig(executor, id, { before, after }),
      ),
    );
}
