import { once } from "node:events";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { Client } from "pg";
import { expect } from "vitest";
import { embeddedStatus, startEmbedded, stopEmbedded } from "../../src/store/embedded/index.ts";
import { processState } from "../../src/store/embedded/pid-file.ts";
import { test } from "../support/embedded-only.ts";
import { childProcess, newDir, query, until } from "./embedded-fixtures.ts";

test("a new folder gets a durable server with the database pawl, reached over a short private socket", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir });

  const [row] = await query(
    server.url,
    `select current_database() as database, current_setting('fsync') as fsync,
            current_setting('synchronous_commit') as sync, current_setting('listen_addresses') as tcp,
            current_setting('data_checksums') as checksums, current_setting('server_encoding') as encoding,
            current_setting('jit') as jit, (select rolsuper from pg_roles where rolname = current_user) as super`,
  );
  expect(row).toEqual({
    database: "pawl",
    fsync: "on",
    sync: "on",
    tcp: "",
    checksums: "on",
    encoding: "UTF8",
    jit: "off",
    super: true,
  });
  expect(server).toMatchObject({ startedHere: true, dataDir: path.join(dir, "data") });
  expect(await readFile(path.join(dir, ".gitignore"), "utf8")).toBe("*\n");
});

test("another process shares the running server instead of starting a second one", async () => {
  const dir = await newDir();
  const mine = await startEmbedded({ dir });
  const other = await childProcess("hold", dir).line;

  expect(other).toMatchObject({ pid: mine.pid, url: mine.url, startedHere: false });
});

test("the server outlives a starter that is killed, and the next start finds it", async () => {
  const dir = await newDir();
  const starter = childProcess("hold", dir);
  const first = await starter.line;
  await starter.kill();

  const next = await startEmbedded({ dir });
  expect(first.startedHere).toBe(true);
  expect(next).toMatchObject({ pid: first.pid, startedHere: false });
});

test("processes that start at the same moment end with one server", async () => {
  const dir = await newDir();
  const children = [1, 2, 3].map(() => childProcess("hold", dir));
  const here = startEmbedded({ dir });
  const lines = await Promise.all(children.map((child) => child.line));

  const all = [...lines, await here];
  expect(new Set(all.map(({ pid }) => pid)).size).toBe(1);
  expect(all.filter(({ startedHere }) => startedHere)).toHaveLength(1);
});

test("a process that uses the server can end without releasing it", async () => {
  const dir = await newDir();
  const user = childProcess("start", dir);
  await user.line;
  const [code] = user.process.exitCode === null ? await once(user.process, "exit") : [0];

  expect(code).toBe(0);
  expect((await embeddedStatus({ dir })).running).toBe(true);
});

test("release stops the server that was started here, cleanly and with its data kept", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir });
  await query(server.url, "create table kept as select 42 as answer");
  await server.release();
  expect(await embeddedStatus({ dir })).toMatchObject({ running: false });
  expect(await readFile(path.join(dir, "postgres.log"), "utf8")).toContain("system is shut down");

  const again = await startEmbedded({ dir });
  expect(again.url).toBe(server.url);
  expect(await query(again.url, "select answer from kept")).toEqual([{ answer: 42 }]);
});

test("a process with nothing else to do still stops the server that it releases", async () => {
  const dir = await newDir();
  const user = childProcess("release", dir);
  await user.line;
  if (user.process.exitCode === null) await once(user.process, "exit");

  expect(user.process.exitCode).toBe(0);
  expect((await embeddedStatus({ dir })).running).toBe(false);
});

test("a start that fails at the database holds no connection and leaves no server behind", async () => {
  const dir = await newDir();
  const settings = { default_transaction_read_only: "on" };
  await expect(startEmbedded({ dir, settings })).rejects.toThrow("read-only transaction");

  expect((await embeddedStatus({ dir })).running).toBe(false);
});

test("a start that fails at the database leaves the server to those who use it", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir });
  await query(server.url.replace(/\/pawl\?/, "/postgres?"), "drop database pawl with (force)");
  await query(
    server.url.replace(/\/pawl\?/, "/postgres?"),
    "alter role pawl set default_transaction_read_only = on",
  );
  await expect(startEmbedded({ dir })).rejects.toThrow("read-only transaction");
  expect((await embeddedStatus({ dir })).running).toBe(true);

  await server.release();
  expect((await embeddedStatus({ dir })).running).toBe(false);
});

test("release leaves a server that another process asked for", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir });
  await childProcess("hold", dir).line;
  await server.release();

  expect((await embeddedStatus({ dir })).pid).toBe(server.pid);
});

test("the last user stops a server whose starter was killed", async () => {
  const dir = await newDir();
  const starter = childProcess("hold", dir);
  const { pid } = await starter.line;
  await starter.kill();
  const last = await startEmbedded({ dir });
  expect(last).toMatchObject({ pid, startedHere: false });
  await last.release();

  expect((await embeddedStatus({ dir })).running).toBe(false);
});

test("a server that was asked to stay outlives its users until it is stopped", async () => {
  const dir = await newDir();
  const kept = await startEmbedded({ dir, keep: true });
  await kept.release();
  await (await startEmbedded({ dir })).release();
  expect((await embeddedStatus({ dir })).pid).toBe(kept.pid);

  expect(await stopEmbedded({ dir })).toMatchObject({ stopped: true });
  await (await startEmbedded({ dir })).release();
  expect((await embeddedStatus({ dir })).running).toBe(false);
});

test("release leaves a server that a bare connection uses", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir });
  const client = new Client({ connectionString: server.url });
  await client.connect();
  await server.release();

  expect((await client.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  await client.end();
});

test("a postmaster that was killed is replaced, with what was committed still there", async () => {
  const dir = await newDir();
  const server = await startEmbedded({ dir });
  await query(server.url, "create table kept as select 42 as answer");
  process.kill(server.pid, "SIGKILL");
  await until(async () =>
    ["gone", "zombie"].includes(await processState(server.pid, server.dataDir)),
  );

  const next = await startEmbedded({ dir });
  expect(next.pid).not.toBe(server.pid);
  expect(await query(next.url, "select answer from kept")).toEqual([{ answer: 42 }]);
});

test("stop ends the server whoever uses it, and says when there is nothing to stop", async () => {
  const dir = await newDir();
  expect(await stopEmbedded({ dir })).toMatchObject({ stopped: false });
  const server = await startEmbedded({ dir });

  expect(await stopEmbedded({ dir })).toMatchObject({ stopped: true, pid: server.pid });
  expect(await stopEmbedded({ dir })).toMatchObject({ stopped: false });
  await server.release();
});

test("status tells a running server from a stopped one and from a folder that was never used", async () => {
  const dir = await newDir();
  expect(await embeddedStatus({ dir })).toEqual({
    running: false,
    dataDir: path.join(dir, "data"),
  });
  const { pid, url, version, dataDir } = await startEmbedded({ dir });

  const running = await embeddedStatus({ dir });
  expect(running).toMatchObject({ running: true, pid, url, version, dataDir });
  expect(running.startedAt?.getTime()).toBeGreaterThan(Date.now() - 600_000);
  expect(running.sizeBytes).toBeGreaterThan(1_000_000);
  await stopEmbedded({ dir });
  expect(await embeddedStatus({ dir })).toEqual({
    running: false,
    dataDir,
    sizeBytes: expect.any(Number),
  });
});
