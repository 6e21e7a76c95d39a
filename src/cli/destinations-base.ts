/** Opens what the commands for destinations and routes work with: the app's where there is a config, else Pawl's own. */

import { openDatabase } from "../app/database.ts";
import { BUILT_IN_TYPES } from "../outbox/destinations/registry.ts";
import type { DestinationType } from "../outbox/destinations/types.ts";
import type { TestBase } from "../outbox/operators/test-delivery.ts";
import { openSender } from "../requests/sender.ts";
import { type Call, SCHEMA_DEFAULT } from "./command.ts";

/** Looking, and the transaction of a test. */
const CONNECTIONS = 3;

export async function withOperators<T>(
  call: Call,
  work: (base: TestBase) => Promise<T>,
): Promise<T> {
  const app = await call.app();
  const { log } = call;
  const schema = app?.schema ?? SCHEMA_DEFAULT;
  const database = await openDatabase({ schema, connections: CONNECTIONS, log });
  const http = openSender(app?.http);
  try {
    return await work({
      store: database.store,
      types: app?.destinationTypes ?? BUILT_IN_TYPES,
      destinations: app?.destinations ?? [],
      allow: app?.http.allow ?? [],
      http,
      log,
      isWorking: () => false,
    });
  } finally {
    await http.close();
    await database.close();
  }
}

export async function knownTypes(call: Call): Promise<readonly DestinationType[]> {
  return (await call.app())?.destinationTypes ?? BUILT_IN_TYPES;
}
