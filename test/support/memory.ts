/**
 * Where Linux keeps files in memory, the databases of a run lie there: each is hundreds of files, and on a disk making
 * and removing them is most of the work of a run.
 *
 * On a server that was given (`PAWL_TEST_DATABASE_URL`) only if PAWL_TEST_TABLESPACE_IN_MEMORY=1 asks for it: it is somebody's
 * own. If the run is killed and the machine then restarts, the tablespace's folder is gone, and a server that was
 * not shut down does not start any more, with all that it holds. Ask for it only where the server may be thrown away.
 */

import { chmod, chown, mkdtemp, rm, rmdir, stat } from "node:fs/promises";
import path from "node:path";
import pg from "pg";
import { hasRoom, isAlive } from "./leftovers.ts";

export const MEMORY = "/dev/shm";
/** Of folders and, with underscores, of tablespaces. Such a folder is never removed but by `drop tablespace`: the server could write no checkpoint any more. */
export const TABLESPACE_PREFIX = "pawl-tablespace-";

export interface Tablespace {
  name: string;
  /** With the databases that a killed test has left in it. */
  drop(): Promise<void>;
}

/**
 * If it is asked for, on a server of this machine whose user can be given a folder in memory; else undefined, and its
 * databases lie where they always do.
 */
export async function tablespaceInMemory(
  url: string,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Tablespace | undefined> {
  if (environment.PAWL_TEST_TABLESPACE_IN_MEMORY !== "1" || !(await hasRoom(MEMORY)))
    return undefined;
  const folder = await mkdtemp(path.join(MEMORY, `${TABLESPACE_PREFIX}${process.pid}-`));
  const name = path.basename(folder).replaceAll("-", "_").toLowerCase();
  try {
    await onServer(url, async (admin) => {
      const { rows } = await admin.query<{ data: string }>(
        "select current_setting('data_directory') as data",
      );
      const { uid, gid } = await stat(rows[0]?.data ?? "");
      await chmod(folder, 0o700);
      await chown(folder, uid, gid);
      await admin.query(`create tablespace ${name} location '${folder}'`);
    });
  } catch {
    await rmdir(folder).catch(() => undefined); // not empty: it was made, and only the answer was lost
    return undefined;
  }
  return { name, drop: () => dropTablespace(url, name, folder) };
}

async function dropTablespace(url: string, name: string, folder: string): Promise<void> {
  await onServer(url, async (admin) => {
    const { rows } = await admin.query<{ datname: string }>(
      "select datname from pg_database d join pg_tablespace t on t.oid = d.dattablespace where spcname = $1",
      [name],
    );
    for (const { datname } of rows)
      await admin.query(`drop database if exists ${datname} with (force)`);
    await admin.query(`drop tablespace if exists ${name}`);
  });
  await rm(folder, { recursive: true, force: true });
}

/** Of runs that were killed. */
export async function dropAbandonedTablespaces(url: string): Promise<void> {
  const found = await onServer(url, (admin) =>
    admin.query<{ name: string; folder: string }>(
      `select spcname as name, pg_tablespace_location(oid) as folder
         from pg_tablespace where spcname ~ '^${TABLESPACE_PREFIX.replaceAll("-", "_")}[0-9]+_'`,
    ),
  );
  for (const { name, folder } of found.rows) {
    if (isAlive(Number(name.split("_")[2]))) continue;
    await dropTablespace(url, name, folder).catch(() => undefined);
  }
}

async function onServer<T>(url: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}
