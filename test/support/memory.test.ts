import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import pg from "pg";
import { expect, inject, test } from "vitest";
import { foldersForServer, hasRoom, SERVER_PREFIX } from "./leftovers.ts";
import { MEMORY, TABLESPACE_PREFIX, tablespaceInMemory } from "./memory.ts";

/** Greater than any that Linux gives. */
const DEAD_PID = 2 ** 30;

test("a server that was given gets no tablespace in memory unless it is asked for: after a restart of the machine it would not start", async () => {
  const url = inject("databaseUrl");
  expect(await tablespaceInMemory(url, {})).toBeUndefined();
  expect(await ownTablespaces(url)).toEqual([]);
  if (!(await hasRoom(MEMORY))) return;
  const asked = await tablespaceInMemory(url, { PAWL_TEST_TABLESPACE_IN_MEMORY: "1" });
  expect(await ownTablespaces(url)).toEqual(asked === undefined ? [] : [asked.name]);
  await asked?.drop();
  expect(await ownTablespaces(url)).toEqual([]);
});

test("what a killed run left of its server is removed, from a full memory too, but never the folder of a tablespace that a server still uses", async () => {
  const [memory = "", disk = ""] = await Promise.all(
    ["memory", "disk"].map((name) => mkdtemp(path.join(tmpdir(), `pawl-folders-${name}-`))),
  );
  const made = async (base: string, prefix: string, pid: number) => {
    const folder = path.join(base, `${prefix}${pid}-abc`);
    await mkdir(folder);
    return folder;
  };
  try {
    const left = [
      await made(memory, SERVER_PREFIX, DEAD_PID),
      await made(disk, SERVER_PREFIX, DEAD_PID),
    ];
    const kept = [
      await made(memory, TABLESPACE_PREFIX, DEAD_PID),
      await made(memory, SERVER_PREFIX, process.pid),
    ];
    expect(await foldersForServer({ memory, disk }, Number.POSITIVE_INFINITY)).toEqual([disk]);
    expect(left.filter(existsSync)).toEqual([]);
    expect(kept.filter(existsSync)).toEqual(kept);
    expect(await foldersForServer({ memory, disk }, 0)).toEqual([memory, disk]);
  } finally {
    for (const folder of [memory, disk]) await rm(folder, { recursive: true });
  }
});

async function ownTablespaces(url: string): Promise<string[]> {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  try {
    const { rows } = await admin.query<{ name: string }>(
      "select spcname as name from pg_tablespace where spcname ~ $1",
      [`^pawl_.*_${process.pid}_`],
    );
    return rows.map(({ name }) => name);
  } finally {
    await admin.end();
  }
}
