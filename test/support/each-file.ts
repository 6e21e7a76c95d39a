/** Runs before each file of tests. Files share a process: what one has changed of it is as before for the next. */

import { afterAll, vi } from "vitest";
import { untilDropped } from "./database.ts";

const env = { ...process.env };
const cwd = process.cwd();

afterAll(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
  if (process.cwd() !== cwd) process.chdir(cwd);
  await untilDropped();
});
