/** Quiet hours hold commands: what could last into them does not start, and the refusal and the list name them. */

import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineCommand,
  type Pawl,
  type QuietHoursOptions,
} from "../../src/index.ts";
import { pawl as pawlCli } from "../cli/cli.ts";
import { movableClock } from "../support/clock.ts";
import { gate, statusOf } from "../support/commands.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const CLOSING: QuietHoursOptions = { from: "12:00", to: "12:10", timeZone: "UTC", why: "books" };
const run = () => undefined;

async function shop(hours: QuietHoursOptions, held = gate()) {
  const { url } = await freshDatabase();
  const commands = [
    defineCommand({ name: "short", timeout: "1m", run }),
    defineCommand({ name: "long", expected: "30m", params: ["a", "b"], run }),
    defineCommand({ name: "unknown", run: held.pass }),
  ];
  const app = defineApp({ name: "shop", commands, quietHours: { closing: hours } });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  await pawl.store.rows(
    "create or replace function pawl.command_lease() returns interval language sql immutable return interval '10 days'",
  );
  return { pawl, url, held };
}

/** Moves the clock to a time of tomorrow, in UTC. */
async function clockAt(pawl: Pawl, time: string) {
  const clock = await movableClock(pawl.store, { isSlow: true });
  const [row] = await pawl.store.rows<{ now: Date }>("select pawl.now() as now");
  const now = row?.now ?? new Date();
  const day = new Date(now.getTime() + DAY_MS).toISOString().slice(0, 10);
  await clock.advance(Date.parse(`${day}T${time}:00Z`) - now.getTime());
  return clock;
}

async function statuses(pawl: Pawl): Promise<string[]> {
  return (await pawl.commands.list()).map(({ key, status }) => `${key} ${status}`);
}

test("R29: a command does not start in quiet hours, nor before them if it could last into them; what runs goes on", async () => {
  const { pawl, url, held } = await shop(CLOSING);
  const clock = await clockAt(pawl, "11:40");
  expect(await statuses(pawl)).toEqual([
    "long:a quiet",
    "long:b quiet",
    "short idle",
    "unknown idle",
  ]);
  await expect(pawl.commands.run("long", { param: "a" })).rejects.toMatchObject({
    code: "command_quiet",
    message: expect.stringMatching(
      /^command "long:a": quiet hours closing \(books\) from \S+T12:00:00\.000Z until \S+T12:10:00\.000Z$/,
    ),
  });
  await pawl.commands.run("short");
  const ran = pawl.commands.run("unknown");
  await until("it has begun", () => held.begun === 1);
  await clock.advance(23 * MINUTE_MS);
  expect(await statuses(pawl)).toEqual([
    "long:a quiet",
    "long:b quiet",
    "short quiet",
    "unknown working",
  ]);
  await expect(pawl.commands.run("short")).rejects.toMatchObject({ code: "command_quiet" });
  expect((await pawlCli(["commands"], { url })).stdout).toMatch(
    /short .*QUIET .*quiet hours closing \(books\) from/,
  );
  held.open();
  await ran;
  expect(await pawl.commands.runs({ command: "unknown" })).toMatchObject([{ outcome: "done" }]);
  await clock.advance(8 * MINUTE_MS);
  await pawl.commands.run("short");
  expect((await statusOf(pawl, "short")).status).toBe("idle");
});

test("quiet hours can hold one command, exempt another, and be forced once", async () => {
  const { pawl } = await shop({
    ...CLOSING,
    holds: ["command:long", "command:short"],
    exempt: ["command:long:b"],
  });
  await clockAt(pawl, "12:03");
  expect(await statuses(pawl)).toEqual([
    "long:a quiet",
    "long:b idle",
    "short quiet",
    "unknown idle",
  ]);
  await pawl.commands.run("long", { param: "b" });
  await pawl.quiet.force("closing", { why: "late invoices" });
  await pawl.commands.run("long", { param: "a" });
});
