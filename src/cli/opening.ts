/** Opens what verbs of the command line work with. */

import { operating, operatingOffline } from "../app/operating.ts";
import type { App, Operating } from "../app/parts.ts";
import { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { openSender } from "../sender/sender.ts";
import { openDatabase } from "../store/open-database.ts";
import type { Store } from "../store/store.ts";

/** As the API's default: verbs that run work in this process may need them; none is opened before it is needed. */
const CONNECTIONS = 10;

interface Opening {
  app: App | undefined;
  log: Logger;
  report: Operating["report"];
  stoppable: Operating["stoppable"];
}

type Opened = Operating & { close: () => Promise<void> };

/** Migrates only the embedded server, and registers the app only where a verb asks for it. */
export async function openOperating(
  opening: Opening & { schema: string; root: string },
): Promise<Opened> {
  const { schema, root, ...tools } = opening;
  const { app, log } = tools;
  const http = openSender(app?.http); // before the database: it may refuse what the app says
  const database = await openDatabase({ schema, root, connections: CONNECTIONS, log });
  const { store } = database;
  return {
    ...operating({ ...tools, store, http, isRegistered: false, isWorking: () => false }),
    close: async () => {
      await http.close();
      await database.close();
    },
  };
}

/** For verbs that ask nothing of the database. */
export function openOffline(opening: Opening): Opened {
  const http = openSender(opening.app?.http);
  return {
    ...operatingOffline({ ...opening, http, isWorking: () => false }),
    get store(): Store {
      throw noDatabase();
    },
    registered: () => Promise.reject(noDatabase()),
    work: () => Promise.reject(noDatabase()),
    writes: () => {
      throw noDatabase();
    },
    close: () => http.close(),
  };
}

function noDatabase(): PawlError {
  return new PawlError("database_error", "this verb opens no database");
}
