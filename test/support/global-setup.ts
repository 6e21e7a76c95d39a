/**
 * One PostgreSQL for the whole test run: `PAWL_TEST_DATABASE_URL`, else an embedded server in a folder of its own.
 * Tests get the URL of a role that may create databases with `inject("databaseUrl")`.
 */

import { chmod, mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { TestProject } from "vitest/node";
import { prepare } from "../../scripts/install.mjs";
import { startEmbedded } from "../../src/store/embedded/index.ts";
import { foldersForServer, SERVER_PREFIX, stopAndRemove } from "./leftovers.ts";
import { dropAbandonedTablespaces, MEMORY, type Tablespace, tablespaceInMemory } from "./memory.ts";

declare module "vitest" {
  export interface ProvidedContext {
    databaseUrl: string;
    /** Where the databases of tests lie; empty for the server's own. */
    tablespace: string;
  }
}

/** A test run may forget everything in a power cut; what a process sees is the same. */
const FAST = {
  fsync: "off",
  full_page_writes: "off",
  max_connections: "200",
  max_wal_size: "256MB", // in memory, where there is room
};

let dir: string | undefined;
let tablespace: Tablespace | undefined;

export async function setup(project: TestProject): Promise<void> {
  prepare(); // tests of the command line run what is built
  const folders = await foldersForServer({ memory: MEMORY, disk: os.tmpdir() });
  const given = process.env.PAWL_TEST_DATABASE_URL;
  if (given) {
    console.log(
      "skipped: tests of the embedded server and of the relay, which prove nothing more on another server",
    );
    await dropAbandonedTablespaces(given);
    tablespace = await tablespaceInMemory(given);
    project.provide("databaseUrl", given);
    project.provide("tablespace", tablespace?.name ?? "");
    return;
  }
  project.provide("databaseUrl", await startIn(folders));
  project.provide("tablespace", "");
}

/** In the first folder where it starts: where programs have to be copied beside the data, they may be refused there. */
async function startIn([base, ...others]: string[]): Promise<string> {
  if (base === undefined) throw new Error("no folder for the server of the tests");
  dir = await mkdtemp(path.join(base, `${SERVER_PREFIX}${process.pid}-`));
  await chmod(dir, 0o755); // as root, the server runs as somebody else
  try {
    return (await startEmbedded({ dir, settings: FAST })).url;
  } catch (error) {
    if (others.length === 0) throw error;
    await rm(dir, { recursive: true, force: true });
    return startIn(others);
  }
}

export async function teardown(): Promise<void> {
  await tablespace?.drop();
  if (dir === undefined) return;
  await stopAndRemove(dir);
  dir = undefined;
}
