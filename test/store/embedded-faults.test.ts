import { chown, cp, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, expect, vi } from "vitest";
import { jsonLogger } from "../../src/base/log.ts";
import { socketPath } from "../../src/store/embedded/address.ts";
import { embeddedStatus, startEmbedded, stopEmbedded } from "../../src/store/embedded/index.ts";
import { processState } from "../../src/store/embedded/pid-file.ts";
import { test } from "../support/embedded-only.ts";
import { childProcess, isRoot, newDir, query, until } from "./embedded-fixtures.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

function socketDirOf(url: string): string {
  return new URL(url.replace("@/", "@base/")).searchParams.get("host") ?? "";
}

test("a starter that is killed in the middle of initdb leaves nothing in the way", async () => {
  let dir = "";
  do {
    dir = await newDir();
    const starter = childProcess("hold", dir);
    starter.line.catch(() => undefined);
    await until(async () => {
      const names = await readdir(dir).catch(() => []);
      return names.some((name) => name === "data" || name.startsWith("data.unfinished-"));
    });
    await starter.kill();
  } while ((await readdir(dir)).includes("data")); // on a busy machine it may have been too late

  const server = await startEmbedded({ dir });
  expect(await query(server.url, "select 1 as one")).toEqual([{ one: 1 }]);
  expect(await readdir(dir)).toContain("data");
});

test("an incomplete data folder is moved aside with a warning and never deleted", async () => {
  const dir = await newDir();
  await mkdir(path.join(dir, "data", "base"), { recursive: true });
  await writeFile(path.join(dir, "data", "PG_VERSION"), "18\n");
  const lines: string[] = [];
  await startEmbedded({ dir, log: jsonLogger("warn", (line) => lines.push(line)) });

  const aside = (await readdir(dir)).filter((name) => name.startsWith("data.incomplete-"));
  expect(aside).toHaveLength(1);
  expect(await readdir(path.join(dir, aside[0] ?? ""))).toEqual(["PG_VERSION", "base"].sort());
  expect(lines.join()).toContain("moved aside");
});

test("a pid file that names another program does not keep the server from starting", async () => {
  const dir = await newDir();
  const first = await startEmbedded({ dir });
  const pidFile = path.join(first.dataDir, "postmaster.pid");
  const text = await readFile(pidFile, "utf8");
  await stopEmbedded({ dir });
  // of the server's user: PostgreSQL itself takes such a process for another server
  const { uid, gid } = await stat(first.dataDir);
  const stranger = childProcess("wait", dir, isRoot ? { uid, gid, cwd: "/" } : {});
  await stranger.line;
  await writeFile(pidFile, text.replace(/^\d+/, String(stranger.process.pid)));

  expect(await embeddedStatus({ dir })).toMatchObject({ running: false });
  const next = await startEmbedded({ dir });
  expect(next).toMatchObject({ startedHere: true });
  expect(stranger.process.exitCode).toBeNull();
});

test("a copied data folder gets its own server and leaves the original's alone", async () => {
  const dir = await newDir();
  const copy = await newDir();
  const original = await startEmbedded({ dir });
  await query(original.url, "checkpoint");
  await cp(path.join(dir, "data"), path.join(copy, "data"), {
    recursive: true,
    preserveTimestamps: true,
  });
  await giveLike(path.join(dir, "data"), path.join(copy, "data"));

  const second = await startEmbedded({ dir: copy });
  expect(second.pid).not.toBe(original.pid);
  expect(await query(original.url, "show data_directory")).toEqual([
    { data_directory: original.dataDir },
  ]);
  expect((await embeddedStatus({ dir })).pid).toBe(original.pid);
});

test("a server whose socket was cleaned from the temporary directory is restarted under the same URL", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir });
  await query(server.url, "create table kept as select 42 as answer");
  await rm(socketDirOf(server.url), { recursive: true });

  const next = await startEmbedded({ dir });
  expect(next.url).toBe(server.url);
  expect(next.pid).not.toBe(server.pid);
  expect(await query(next.url, "select answer from kept")).toEqual([{ answer: 42 }]);
});

test("a server that lost its socket can still be stopped", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir });
  await rm(socketDirOf(server.url), { recursive: true });

  expect(await stopEmbedded({ dir })).toMatchObject({ stopped: true, pid: server.pid });
  expect(await processState(server.pid, server.dataDir)).not.toBe("ours");
});

test("the socket path stays short in a deep temporary directory and a deep project", async () => {
  const dir = await newDir();
  const deep = path.join(path.dirname(dir), ...Array.from({ length: 12 }, () => "deeply-nested"));
  await mkdir(deep, { recursive: true });
  vi.stubEnv("TMPDIR", deep);
  expect(os.tmpdir()).toBe(deep);
  const server = await startEmbedded({ dir });

  const socket = socketPath({ host: socketDirOf(server.url), port: 5432 }) ?? "";
  expect(Buffer.byteLength(socket)).toBeLessThan(104);
});

test("a folder of another user under the socket's name is not used", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir });
  const usual = socketDirOf(server.url);
  await stopEmbedded({ dir });
  await mkdir(usual, { mode: 0o777 }); // not private
  const next = await startEmbedded({ dir });
  await rm(usual, { recursive: true });

  expect(socketDirOf(next.url)).toBe(`${usual}-1`);
});

test("a locale that the machine does not have and variables for another server change nothing", async () => {
  const dir = await newDir();
  vi.stubEnv("LANG", "xx_YY.UTF-8");
  vi.stubEnv("LC_CTYPE", "xx_YY.UTF-8");
  vi.stubEnv("PGDATA", "/nowhere");
  vi.stubEnv("PGHOST", "nowhere.invalid");
  vi.stubEnv("PGPORT", "1");
  vi.stubEnv("PGSSLMODE", "require");
  vi.stubEnv("PGOPTIONS", "-c nothing=1");
  const server = await startEmbedded({ dir });
  vi.stubEnv("PGOPTIONS", undefined);

  expect(await query(server.url, "show lc_messages")).toEqual([{ lc_messages: "C" }]);
});

test("without programs for the platform the error names DATABASE_URL and what was tried", async () => {
  const dir = await newDir();
  vi.stubEnv("PAWL_POSTGRES_BIN", path.join(path.dirname(dir), "empty"));

  await expect(startEmbedded({ dir })).rejects.toMatchObject({
    code: "embedded_unavailable",
    message: expect.stringMatching(/no postgres.*set DATABASE_URL.*PAWL_POSTGRES_BIN/s),
  });
});

test("a data folder of another major version is refused with what to do", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir });
  await stopEmbedded({ dir });
  await writeFile(path.join(server.dataDir, "PG_VERSION"), "12\n");

  await expect(startEmbedded({ dir })).rejects.toMatchObject({
    code: "embedded_failed",
    message: expect.stringMatching(/made by PostgreSQL 12.*pg_dump/s),
  });
});

test("a server that does not start says why, in its own words", async () => {
  const dir = await newDir();

  await expect(startEmbedded({ dir, settings: { shared_buffers: "a lot" } })).rejects.toMatchObject(
    {
      code: "embedded_failed",
      message: expect.stringContaining('invalid value for parameter "shared_buffers"'),
    },
  );
  expect(await startEmbedded({ dir })).toMatchObject({ startedHere: true });
});

test("settings that could smuggle lines into the configuration are refused", async () => {
  const dir = await newDir();

  await expect(
    startEmbedded({ dir, settings: { work_mem: "4MB'\nfsync = off" } }),
  ).rejects.toMatchObject({ code: "invalid_option" });
  expect(await readdir(path.dirname(dir))).toEqual([]);
});

test("settings of the caller win, and quotes in them are kept", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir, settings: { fsync: "off", cluster_name: "it's" } });

  expect(await query(server.url, "show fsync")).toEqual([{ fsync: "off" }]);
  expect(await query(server.url, "show cluster_name")).toEqual([{ cluster_name: "it's" }]);
});

async function giveLike(source: string, target: string): Promise<void> {
  const { uid, gid } = await stat(source);
  for (const name of await readdir(target, { recursive: true })) {
    await chown(path.join(target, name), uid, gid);
  }
  await chown(target, uid, gid);
}
