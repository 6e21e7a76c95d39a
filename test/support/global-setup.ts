/**
 * One PostgreSQL for the whole test run: `PAWL_TEST_DATABASE_URL`, else an embedded server in a folder of its own.
 * Tests get the URL of a role that may create databases with `inject("databaseUrl")`.
 */

import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import type { TestProject } from "vitest/node";
import { prepare } from "../../scripts/install.mjs";
import { startEmbedded, stopEmbedded } from "../../src/store/embedded/index.ts";

declare module "vitest" {
  export interface ProvidedContext {
    databaseUrl: string;
  }
}

const PREFIX = "pawl-tests-";
/** A test run may forget everything in a power cut; what a process sees is the same. */
const FAST = { fsync: "off", full_page_writes: "off", max_connections: "200" };

let dir: string | undefined;

export async function setup(project: TestProject): Promise<void> {
  prepare(); // tests of the command line run what is built
  const given = process.env.PAWL_TEST_DATABASE_URL;
  if (given) {
    console.log(
      "skipped: tests of the embedded server and of the relay, which prove nothing more on another server",
    );
    project.provide("databaseUrl", given);
    return;
  }
  await removeAbandoned();
  dir = await mkdtemp(path.join(os.tmpdir(), `${PREFIX}${process.pid}-`));
  await chmod(dir, 0o755); // as root, the server runs as somebody else
  const server = await startEmbedded({ dir, settings: FAST });
  project.provide("databaseUrl", server.url);
}

export async function teardown(): Promise<void> {
  if (dir === undefined) return;
  await stopAndRemove(dir);
  dir = undefined;
}

async function stopAndRemove(folder: string): Promise<void> {
  const { dataDir } = await stopEmbedded({ dir: folder });
  await rm(path.dirname(dataDir), { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
}

/** A run that was killed leaves its server behind; the folder's name tells whose it was. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(os.tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await stopAndRemove(path.join(os.tmpdir(), name)).catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
