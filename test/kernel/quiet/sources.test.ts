/** Quiet hours and sources: nothing is requested, and nothing received is stored, unless the source is exempt. */

import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../../src/base/log.ts";
import { connect, defineApp, defineSource } from "../../../src/index.ts";
import { movableClock } from "../../support/clock.ts";
import { freshDatabase } from "../../support/database.ts";
import { until } from "../../support/until.ts";

const DAY = 86_400_000;

test("in quiet hours of all, sources request nothing, except exempt ones; lists say why; at the end they go on", async () => {
  const { url } = await freshDatabase();
  const asked: string[] = [];
  const source = (name: string) =>
    defineSource({
      name,
      fetch: async () => {
        asked.push(name);
        return [];
      },
    });
  const pawl = await connect(
    defineApp({
      name: "shop",
      sources: [source("orders"), source("alarms")],
      quietHours: {
        closing: { from: "12:00", to: "12:10", timeZone: "UTC", exempt: ["source:alarms"] },
      },
    }),
    { databaseUrl: url, log: silentLogger },
  );
  onTestFinished(() => pawl.close());
  const clock = await movableClock(pawl.store, { isSlow: true });
  const tomorrow = new Date(Date.now() + DAY).toISOString().slice(0, 10);
  await clock.advance(Date.parse(`${tomorrow}T12:03:00Z`) - Date.now());
  await pawl.work();
  await until("the exempt one was asked", () => asked.includes("alarms"));
  expect(asked).not.toContain("orders");
  const sources = await pawl.sources.list();
  expect(sources.find((one) => one.name === "orders")).toMatchObject({ status: "off" });
  expect((await pawl.why("source:orders")).line).toMatch(
    /quiet hours closing hold it until .*; `pawl quiet force closing` lets it go on/,
  );
  await clock.advance(8 * 60_000);
  await until("it goes on", () => asked.includes("orders"));
});
