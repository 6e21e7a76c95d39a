/** What operators' verbs work with: the app's where there is one, else Pawl's own. */

import { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { registerApp } from "../registry/register.ts";
import type { HttpSender } from "../sender/sender.ts";
import type { Store } from "../store/store.ts";
import { appOf } from "./define-app.ts";
import { type App, type Operating, PARTS } from "./parts.ts";
import { provided, pruneOthers, secretHolders, writesOf } from "./provided.ts";
import { startWork } from "./work.ts";

interface Tools extends Pick<Operating, "isWorking" | "report" | "stoppable"> {
  http: HttpSender;
  log: Logger;
  app: App | undefined;
}

/** @param isRegistered this process has registered what the app defines */
export function operating({
  store,
  isRegistered,
  ...tools
}: Tools & { store: Store; isRegistered: boolean }): Operating {
  const { app, http, log } = tools;
  const registered = async () => {
    if (app !== undefined && !isRegistered) await registerApp({ store, log }, app, PARTS);
  };
  return {
    ...operatingOffline(tools, store.url),
    store,
    registered,
    writes: writesOf({ app: app ?? none(), store }),
    work: async (parts, options, isStopping) => {
      if (app === undefined) throw new PawlError("config_not_found", "work: without an app");
      await registered();
      return startWork({ store, app, http, log, isStopping }, options, parts);
    },
  };
}

/** All that asks nothing of a database. */
export function operatingOffline(
  tools: Tools,
  databaseUrl?: string,
): Omit<Operating, "store" | "registered" | "work" | "writes"> {
  const app = tools.app ?? none();
  return {
    ...tools,
    ...provided({ app, databaseUrl }),
    application: tools.app?.name ?? null,
    handlers: () =>
      PARTS.flatMap((part) => (tools.app && part.catalogue?.(app).streams) ?? []).map(
        ({ kind, queue, handler }) => ({ kind, queue, handler }),
      ),
    otherSecrets: secretHolders,
    pruneOthers,
    revision: app.revision,
    use: app.use,
    maxPayloadBytes: app.maxPayloadBytes,
  };
}

/** An app that defines nothing. */
function none(): App {
  return appOf({ name: "none" }, PARTS) as App;
}
