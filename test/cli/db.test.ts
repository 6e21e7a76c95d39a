import { expect } from "vitest";
import { newDir } from "../store/embedded-fixtures.ts";
import { test } from "../support/embedded-only.ts";
import { type ErrorDocument, pawl, pawlJson, pawlProcess } from "./cli.ts";

test("the embedded server outlives `db start`, serves the next command, and ends with `db stop`", async () => {
  const env = { PAWL_DIR: await newDir() };
  const before = await pawlJson<ErrorDocument>(["db", "url"], { env });
  expect(before.code).toBe(4);
  expect(before.json.error.message).toContain("pawl db start");

  const started = await pawlProcess(["db", "start"], { env });
  expect(started.code).toBe(0);
  const url = started.stdout.trim();
  expect(url).toMatch(/^postgresql:\/\//);

  const [status, same, migrated] = await Promise.all([
    pawlJson(["db", "status"], { env }),
    pawl(["db", "url"], { env }),
    pawlProcess(["migrate"], { env }),
  ]);
  expect(status.json).toMatchObject({ running: true, url });
  expect(same.stdout.trim()).toBe(url);
  expect(migrated.stdout).toContain("applied 0001_store");

  expect((await pawlProcess(["db", "stop"], { env })).stdout).toMatch(/^stopped \(pid \d+\)\n$/);
  const [stopped, twice] = await Promise.all([
    pawl(["db", "status"], { env }),
    pawl(["db", "stop"], { env }),
  ]);
  expect(stopped.stdout).toMatch(/^running +no$/m);
  expect(twice).toMatchObject({ code: 0, stdout: "was not running\n" });
});
