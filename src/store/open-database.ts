/** Which PostgreSQL: the option, DATABASE_URL, or the embedded one. Migrated if it is ours alone, checked if it is given. */

import { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { type EmbeddedServer, embeddedDirIn, startEmbedded } from "./embedded/index.ts";
import { checkServer } from "./fitness.ts";
import { migrate, requireSchema } from "./migrate.ts";
import { openStore, type Store } from "./store.ts";

/** As a URL: the embedded server. */
const EMBEDDED = "embedded";

export interface DatabaseOptions {
  /** Default `DATABASE_URL`. `embedded`, or neither outside production: the embedded PostgreSQL. */
  databaseUrl?: string | undefined;
  /** The project's folder: the embedded server keeps its data in `.pawl/` there, unless `PAWL_DIR` names another. */
  root: string;
  schema: string;
  connections: number;
  /** Migrate first. Default: only the embedded server. */
  migrate?: boolean | undefined;
  /** The role may read nothing, not even which migrations were applied. */
  isUnread?: boolean;
  log: Logger;
}

export interface Database {
  store: Store;
  isEmbedded: boolean;
  /** Transactions that are open may take `waitMs` to end; default 5 s. */
  close(waitMs?: number): Promise<void>;
}

/** @throws PawlError `database_unreachable`, `database_too_old`, `database_permission`, `schema_missing`, … */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { schema, connections, log } = options;
  const { url, server } = await chooseServer(options);
  let store: Store | undefined;
  const close = async (waitMs?: number) => {
    await store?.close(waitMs);
    await server?.release();
  };
  try {
    store = openStore({ url, schema, max: connections, log });
    if (options.migrate ?? server !== undefined) await migrate(store);
    if (options.isUnread === true) await checkServer(store);
    else await requireSchema(store);
    return { store, isEmbedded: server !== undefined, close };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

/**
 * The given server, or the embedded one, started where needed.
 * @throws PawlError `invalid_environment` in production when nothing names a database
 */
export async function chooseServer(
  options: Pick<DatabaseOptions, "databaseUrl" | "root" | "log">,
): Promise<{ url: string; server: EmbeddedServer | undefined }> {
  const given = options.databaseUrl ?? nonEmpty(process.env.DATABASE_URL);
  if (given !== undefined && given !== EMBEDDED) return { url: given, server: undefined };
  if (given === undefined && process.env.NODE_ENV === "production") {
    throw new PawlError(
      "invalid_environment",
      "DATABASE_URL: not set, and NODE_ENV is production; set it to your PostgreSQL (postgresql://user:password@host:5432/database), or to `embedded` if this machine's own embedded server is meant",
    );
  }
  const server = await startEmbedded({ dir: embeddedDirIn(options.root), log: options.log });
  return { url: server.url, server };
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
