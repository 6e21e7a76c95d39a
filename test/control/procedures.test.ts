/** The procedures of a team that ran its commands with lock files before, one after the other, as they are written down. */

import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { openStore } from "../../src/store/store.ts";
import { type Finished, pawl as pawlCli, type Running, start } from "../cli/cli.ts";
import { atEnd } from "../support/at-end.ts";
import { movableClock } from "../support/clock.ts";
import { folderWith } from "../support/commands.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const COMMANDS = `
  defineCommand({
    name: "process-manager",
    title: "Process Manager",
    expected: "5m",
    onCrash: "hold",
    run: ({ signal, progress }) => {
      progress("order 7 of 12");
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
    },
  }),
  defineCommand({ name: "get-orders", title: "Get Orders", run: () => undefined }),
  defineCommand({ name: "import-invoices", title: "Import Cost Invoices to Books", params: ["service1", 24], run: () => undefined })`;

test("R28 R29 R30: stop everything by a file and start it again; stop one command; find a crashed one, look, and release it", async () => {
  const { url } = await freshDatabase();
  const store = openStore({ url, max: 2 });
  atEnd(() => store.close());
  const clock = await movableClock(store, { isSlow: true });
  const cwd = folderWith(COMMANDS);
  const locks = path.join(cwd, "locks");
  mkdirSync(locks);
  const cli = (...args: string[]): Promise<Finished> => pawlCli(args, { url, cwd });
  const statuses = async () => {
    const { stdout } = await cli("commands", "list", "--json");
    const { commands } = JSON.parse(stdout) as { commands: { key: string; status: string }[] };
    return Object.fromEntries(commands.map(({ key, status }) => [key, status]));
  };
  const startManager = async (): Promise<Running> => {
    const child = start(["commands", "run", "process-manager", "--by", "cron"], { url, cwd });
    await until("it works", async () => {
      if (child.process.exitCode !== null) throw new Error(child.stderr());
      const rows = await store.rows(
        "select from pawl.command_run where progress is not null and ended_at is null",
      );
      return rows.length === 1;
    });
    return child;
  };

  // a restart of the systems outside is planned: stop everything
  const manager = await startManager();
  const idle = {
    "get-orders": "idle",
    "import-invoices:24": "idle",
    "import-invoices:service1": "idle",
  };
  expect(await statuses()).toEqual({ ...idle, "process-manager": "working" });
  writeFileSync(path.join(locks, "all-commands.disabled"), "");
  const disabled = {
    "get-orders": "disabled",
    "import-invoices:24": "disabled",
    "import-invoices:service1": "disabled",
  };
  expect(await statuses()).toEqual({ ...disabled, "process-manager": "working" });
  expect((await cli("commands", "list", "--stopped")).code).toBe(1); // wait for the one that works
  expect((await cli("commands", "run", "get-orders")).stderr).toContain("all is off on host");
  manager.process.kill("SIGTERM");
  expect(await manager.finished).toMatchObject({ code: 0 });
  expect(await statuses()).toEqual({ ...disabled, "process-manager": "disabled" });
  const stopped = await cli("commands", "list", "--stopped");
  expect(stopped.code).toBe(0);
  expect(stopped.stdout.match(/DISABLED .* off on host /g)).toHaveLength(4);

  // and go on
  rmSync(path.join(locks, "all-commands.disabled"));
  const second = await startManager();
  expect(await statuses()).toEqual({ ...idle, "process-manager": "working" });

  // one command alone
  writeFileSync(path.join(locks, "get-orders.disabled"), "");
  expect(await statuses()).toMatchObject({
    "get-orders": "disabled",
    "import-invoices:24": "idle",
  });
  rmSync(path.join(locks, "get-orders.disabled"));
  expect(await cli("commands", "run", "get-orders")).toMatchObject({ code: 0 });

  // it crashes: LOCKED, look at it, release it
  second.process.kill("SIGKILL");
  if (second.process.signalCode === null) await once(second.process, "close");
  await clock.advance(30_001);
  expect(await statuses()).toMatchObject({ "process-manager": "locked" });
  const refused = await cli("commands", "run", "process-manager");
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.stderr).toContain("pawl locks release process-manager");
  const runs = await cli("commands", "runs", "process-manager");
  expect(runs.stdout).toMatch(/process-manager +locked .* cron +order 7 of 12/);
  await cli("locks", "release", "process-manager", "--why", "order 7 was not sent");
  expect(await statuses()).toEqual({ ...idle, "process-manager": "idle" });
  const third = await startManager();
  third.process.kill("SIGTERM");
  expect(await third.finished).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("done in"),
  });
});
