/** The order as people start it: a real process, killed while it pays. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const FILE = "examples/order/order.ts";
const TIMEOUT_MS = 600_000;

interface Program {
  process: ChildProcess;
  stdout: () => string;
  /** The exit code, or the signal. */
  ended: Promise<number | string | null>;
}

function start(url: string): Program {
  const process_ = spawn(process.execPath, ["--import", "tsx", FILE], {
    env: { ...process.env, DATABASE_URL: url, PAWL_LOG_LEVEL: "silent" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let stdout = "";
  process_.stdout.setEncoding("utf8").on("data", (more: string) => {
    stdout += more;
  });
  const ended = once(process_, "close").then(([code, signal]) => (code ?? signal) as string);
  onTestFinished(async () => {
    process_.kill("SIGKILL");
    await ended;
  });
  return { process: process_, stdout: () => stdout, ended };
}

test("an order whose program is killed while it pays goes on there at the next start: reserved once, paid under one key, shipped after its approval", {
  timeout: TIMEOUT_MS,
}, async () => {
  const { url } = await freshDatabase();
  const first = start(url);
  await until("it pays", () => first.stdout().includes("pay: "));
  first.process.kill("SIGKILL");
  expect(await first.ended).toBe("SIGKILL");
  const id = /^run (\d+): created$/m.exec(first.stdout())?.[1] ?? "";

  const second = start(url);
  await until("it waits", () => second.stdout().includes(`run ${id}: waiting approved\n`));
  const pawl = await connect(defineApp({}), { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  await pawl.signal(id, "approved", { by: "ada" });
  expect(await second.ended).toBe(0);

  expect(second.stdout()).toContain(`run ${id}: duplicate\n`);
  expect(second.stdout()).toContain("ship: order 1, payment-1, approved by ada\n");
  const paid = `${first.stdout()}${second.stdout()}`.match(/^pay: .*$/gm);
  expect(new Set(paid)).toEqual(new Set([`pay: order 1, key process-${id}-pay`]));
  const shown = await pawl.processes.show(id);
  expect(shown?.run).toMatchObject({ status: "done", key: "order-1" });
  expect(
    shown?.steps.filter(({ outcome }) => outcome !== "waiting").map((one) => one.output),
  ).toEqual([{ left: 98 }, { payment: "payment-1" }, { by: "ada" }, { parcel: "parcel-1" }]);
  expect(await pawl.store.rows("select sku, pieces from stock")).toEqual([
    { sku: "tea", pieces: 98 },
  ]);
});
