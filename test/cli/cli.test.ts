/** What a command that runs in the test's process sees of it, and leaves. */

import { writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { newFolder, pawl } from "./cli.ts";

test("commands called at once each have their own folder, environment and output, and leave the process as it was", async () => {
  const state = () => ({
    env: { ...process.env },
    folder: process.cwd(),
    heard: process.listeners("SIGTERM"),
  });
  const was = state();
  const folder = newFolder();
  writeFileSync(path.join(folder, "named.mjs"), "throw new Error(process.env.PAWL_TEST_NAME);");
  const [here, there, elsewhere] = await Promise.all([
    pawl(["work", "--config", "named.mjs"], { cwd: folder, env: { PAWL_TEST_NAME: "ada" } }),
    pawl(["work", "--config", "named.mjs"]),
    pawl(["--version"], { url: "postgresql://localhost:1/nothing" }),
  ]);
  expect(here).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(/Error: ada\b/),
  });
  expect(there).toMatchObject({ code: 3, stdout: "" });
  expect(there.stderr).not.toContain(folder);
  expect(elsewhere).toMatchObject({ code: 0, stderr: "" });
  expect(state()).toEqual(was);
});
