import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { freshDatabase } from "../../support/database.ts";

test("R12: the example sends the three usages, and each ends as it is meant to", async () => {
  const { url } = await freshDatabase();
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", "examples/requests/requests.ts"],
    { env: { ...process.env, DATABASE_URL: url, PAWL_LOG_LEVEL: "warn" }, timeout: 600_000 },
  );
  const lines = stdout.trim().split("\n");
  // the end of one may be told before the next has arrived
  const [arrived, told] = ["PATCH", "request"].map((start) =>
    lines.filter((line) => line.startsWith(start)),
  );
  expect(lines).toHaveLength(6);
  expect(arrived?.sort()).toEqual([
    "PATCH /CRM/plugin/logistic/status: company 5, attempt 1/1440",
    "PATCH /companies/5/CRM/plugin/chat/status: company 5, attempt 1/30",
    "PATCH /companies/5/CRM/plugin/pbx/cdr: company 5, attempt 1/1440",
  ]);
  expect(told?.map((line) => line.replace(/^request \d+: /, ""))).toEqual([
    "sent",
    "sent",
    "stop-code",
  ]);
});
