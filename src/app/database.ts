/** Which PostgreSQL: the option, DATABASE_URL, or the embedded one. Migrated if it is ours alone, checked if it is given. */

import type { Logger } from "../base/log.ts";
import { type EmbeddedServer, startEmbedded } from "../store/embedded/index.ts";
import { migrate, requireSchema } from "../store/migrate.ts";
import { openStore, type Store } from "../store/store.ts";

export interface DatabaseOptions {
  /** Default `DATABASE_URL`; without either, the embedded PostgreSQL in `.pawl/` (or `PAWL_DIR`). */
  databaseUrl?: string | undefined;
  schema: string;
  connections: number;
  /** Migrate first. Default: only the embedded server. */
  migrate?: boolean | undefined;
  log: Logger;
}

export interface Database {
  store: Store;
  isEmbedded: boolean;
  close(): Promise<void>;
}

/** @throws PawlError `database_unreachable`, `database_too_old`, `database_permission`, `schema_missing`, … */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const given = options.databaseUrl ?? nonEmpty(process.env.DATABASE_URL);
  const server: EmbeddedServer | undefined =
    given === undefined ? await startEmbedded({ log: options.log }) : undefined;
  const url = given ?? server?.url ?? "";
  const { schema, connections, log } = options;
  let store: Store | undefined;
  const close = async () => {
    await store?.close();
    await server?.release();
  };
  try {
    store = openStore({ url, schema, max: connections, log });
    if (options.migrate ?? server !== undefined) await migrate(store);
    await requireSchema(store);
    return { store, isEmbedded: server !== undefined, close };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
