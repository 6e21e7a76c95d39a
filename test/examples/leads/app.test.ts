/** The example as a whole: its actions, its web side, its schedules, its e-mails under a worker, and the script that its plan calls verification. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { Webhook } from "standardwebhooks";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { act } from "../../../examples/leads/actions.ts";
import { leadsServer } from "../../../examples/leads/server.ts";
import { atEnd } from "../../support/at-end.ts";
import { freshDatabase } from "../../support/database.ts";
import { type Stage, stage } from "./stage.ts";

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const PREPARED = `
insert into leads.discovery (source, query) values ('search', 'pubs'), ('directory', 'bars');
insert into leads.analysis (lead_id, score, findings) values (4, 10, '[]'), (5, 20, '[]');
update leads.lead set status = 'analyzed' where id in (4, 5);
update leads.lead set url = 'spoken.example' where id = 4;
insert into leads.proposal (lead_id, user_id, type, body) values (1, 1, 'seo', 'p'), (2, 1, 'seo', 'p');
insert into leads.offer (lead_id, user_id, body) values (1, 1, 'one'), (2, 1, 'two')`;

let on: Stage;
let site: string;
beforeAll(async () => {
  on = await stage();
  process.env.LEADS_SES_SECRET = SECRET;
  const server = leadsServer(on.kit.pawl).listen(0, "127.0.0.1");
  await once(server, "listening");
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  atEnd(() => {
    server.close();
    delete process.env.LEADS_SES_SECRET;
  });
});
beforeEach(() => on.clear());

const count = async (sql: string) =>
  Number((await on.sql(`select count(*) as n from ${sql}`))[0]?.n);

describe("R62: an action", () => {
  const ACTIONS = [
    ["lead:analyze", "analyze-lead", 3, "leads.analysis"],
    ["lead:discover", "discover-leads", 2, "leads.lead"],
    ["proposal:generate", "generate-proposal", 2, "leads.proposal"],
    ["offer:generate", "generate-offer", 2, "leads.offer"],
    ["company:sync-ares", "sync-ares-data", 2, "leads.company"],
    ["email:send", "send-email", 2, "leads.offer where status = 'sent'"],
  ] as const;

  test.each(ACTIONS)(
    "%s dispatches, or does it now, as many as asked, or only says so",
    async (action, job, all, table) => {
      await on.sql(PREPARED);
      if (action === "offer:generate") await on.sql("delete from leads.offer");
      if (action === "lead:analyze")
        await on.sql("update leads.lead set url = 'fine.example' where id = 3");
      const before = await count(table);
      const { pawl } = on.kit;
      const would = await act(pawl, action, { async: false, limit: 100, dryRun: true });
      expect(would).toHaveLength(all);
      expect(await act(pawl, action, { async: true, limit: 100, dryRun: true })).toEqual(would);
      expect(await pawl.tasks.list()).toEqual([]);
      expect(on.world.calls).toEqual([]);

      expect(await act(pawl, action, { async: true, limit: 1, dryRun: false })).toHaveLength(1);
      expect(await pawl.tasks.list()).toMatchObject([{ kind: job, state: "ready" }]);
      expect(on.world.calls).toEqual([]);
      expect(await count(table)).toBe(before);

      const done = await act(pawl, action, { async: false, limit: 100, dryRun: false });
      expect(done).toHaveLength(all);
      expect(on.world.calls).toHaveLength(all);
      expect(await count(table)).toBeGreaterThanOrEqual(before + all);
    },
  );

  test("that is not there is refused", async () => {
    await expect(
      act(on.kit.pawl, "lead:fly", { async: true, limit: 1, dryRun: false }),
    ).rejects.toThrow("there are lead:analyze");
  });
});

describe("R62 R76: the web side", () => {
  const post = (to: string, body: string, headers: Record<string, string> = {}) =>
    fetch(`${site}${to}`, { method: "POST", body, headers });

  test("a wish for a proposal is put into the queue and answered with 202", async () => {
    const response = await post(
      "/api/leads/1/proposals",
      JSON.stringify({ userId: 3, proposalType: "seo" }),
    );
    expect(response.status).toBe(202);
    const { id, outcome } = (await response.json()) as { id: string; outcome: string };
    expect({ outcome, location: response.headers.get("location") }).toEqual({
      outcome: "created",
      location: `/api/tasks/${id}`,
    });
    expect(await on.kit.pawl.task(id)).toMatchObject({
      kind: "generate-proposal",
      queue: "normal",
      state: "ready",
      payload: { leadId: 1, userId: 3 },
    });
    expect(on.world.calls).toEqual([]);
    expect(
      (await post("/api/leads/1/proposals", JSON.stringify({ userId: 3, proposalType: "seo" })))
        .status,
    ).toBe(202);
    expect(await on.kit.enqueued()).toHaveLength(1);
  });

  test("a wrong wish is refused, and nothing is put", async () => {
    expect((await post("/api/leads/1/proposals", "{")).status).toBe(400);
    expect(
      (await post("/api/leads/1/proposals", JSON.stringify({ userId: 3, proposalType: "song" })))
        .status,
    ).toBe(400);
    expect((await post("/api/songs", "{}")).status).toBe(404);
    expect(await on.kit.enqueued()).toEqual([]);
  });

  test("a webhook whose signature is right is put into the queue and answered at once; any other is refused", async () => {
    const body = JSON.stringify({
      id: "e1",
      type: "bounce",
      messageId: "m1",
      email: "ann@shop.example",
    });
    const at = new Date();
    const headers = {
      "webhook-id": "e1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(SECRET).sign("e1", at, body),
    };
    expect((await post("/webhooks/ses", body)).status).toBe(400);
    expect((await post("/webhooks/ses", body.replace("ann", "bob"), headers)).status).toBe(401);
    expect(await on.kit.enqueued()).toEqual([]);
    expect((await post("/webhooks/ses", body, headers)).status).toBe(202);
    expect((await post("/webhooks/ses", body, headers)).status).toBe(202); // the provider sends it again
    expect(await on.kit.enqueued()).toMatchObject([
      { name: "process-ses-webhook", queue: "high", state: "ready" },
    ]);
    expect(await count("leads.suppressed")).toBe(0);
  });
});

describe("R67: by the clock", () => {
  test("five schedules, four days and weeks and one by the settings", async () => {
    const rows = await on.kit.pawl.schedules.list();
    expect(Object.fromEntries(rows.map(({ name, cron }) => [name, cron]))).toEqual({
      "expire-proposals": "0 1 * * *",
      "check-certificates": "0 2 * * *",
      benchmarks: "0 3 * * MON",
      "clean-up": "0 4 * * SUN",
      "batch-discovery": "0 5 * * *",
    });
  });

  test.each([
    [
      "expire-proposals",
      "insert into leads.proposal (lead_id, user_id, type, body, expires_at) values (1, 1, 'seo', 'x', now() - interval '1 day'), (2, 1, 'seo', 'x', now() + interval '1 day')",
      "leads.proposal where status = 'expired'",
      1,
    ],
    ["check-certificates", "select 1", "leads.lead where certificate_until is not null", 5],
    [
      "benchmarks",
      "insert into leads.analysis (lead_id, score, findings) values (1, 4, '[]')",
      "leads.benchmark",
      1,
    ],
    [
      "clean-up",
      "insert into leads.mail_event values ('old', now() - interval '91 days'), ('new', now()); insert into leads.analysis (lead_id, score, findings, created_at) values (1, 1, '[]', now() - interval '99 days'), (1, 2, '[]', now()), (2, 1, '[]', now() - interval '99 days')",
      "(select 1 from leads.mail_event union all select 1 from leads.analysis) x",
      3,
    ],
    [
      "batch-discovery",
      "insert into leads.discovery values ('search', 'pubs', 2, true), ('search', 'cafes', 2, false)",
      "leads.lead where url like 'pubs%' or url like 'cafes%'",
      2,
    ],
  ])("%s does its work", async (name, given, table, left) => {
    await on.sql(given);
    await on.kit.pawl.schedules.run(name);
    await on.kit.runUntilIdle();
    expect(await count(table)).toBe(left);
    expect(await on.kit.pawl.dead.list()).toEqual([]);
  });
});

describe("R77: e-mails under a worker", () => {
  test("an answer that is lost, and then a limiter, make one e-mail and no dead letter", async () => {
    await on.sql("insert into leads.offer (lead_id, user_id, body) values (1, 1, 'one')");
    on.world.fail("/ses", { status: "lost" }, { status: 429, retryAfter: 3_600 });
    await act(on.kit.pawl, "email:send", { async: true, limit: 9, dryRun: false });
    await on.kit.runUntilIdle();
    await on.kit.clock.advance("5s");
    await on.kit.runUntilIdle(); // the limiter says: in an hour
    expect(on.world.mails).toHaveLength(1);
    await on.kit.clock.advance("30m");
    await on.kit.runUntilIdle();
    expect(await count("leads.offer where status = 'sent'")).toBe(0);
    await on.kit.clock.advance("31m");
    await on.kit.runUntilIdle();
    expect(on.world.mails).toHaveLength(1);
    expect(await count("leads.offer where status = 'sent'")).toBe(1);
    expect(
      await on.kit.pawl.tasks.list({ state: "done", kind: "send-email", limit: 1 }),
    ).toMatchObject([{ attempt: 2 }]);
  });

  test("no more than 14 start in a second", async () => {
    await on.sql(
      "insert into leads.lead (url, email) select n || '.example', n || '@x.example' from generate_series(1, 20) n; insert into leads.offer (lead_id, user_id, body) select id, 1, 'x' from leads.lead where id > 5",
    );
    await act(on.kit.pawl, "email:send", { async: true, limit: 20, dryRun: false });
    const { kit } = on;
    await kit.runUntilIdle({ queues: ["high"] });
    while ((await kit.pawl.tasks.list({ kind: "send-email" })).length > 0) {
      await kit.clock.advance("100ms");
      await kit.runUntilIdle({ queues: ["high"] });
    }
    expect(on.world.mails).toHaveLength(20);
    const [row] = await on.sql(
      "select extract(epoch from max(started_at) - min(started_at)) as s from (select started_at from pawl.task_ended_v1 where kind = 'send-email' and outcome = 'done' order by id desc limit 20) x",
    );
    expect(Number(row?.s)).toBeGreaterThanOrEqual(19 / 14 - 0.05);
  });
});

test("R53: the plan's verification runs as a script", { timeout: 600_000 }, async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const main = path.resolve("dist/cli/main.js");
  const child = spawn("sh", ["examples/leads/verify.sh"], {
    env: {
      ...process.env,
      DATABASE_URL: url,
      PAWL: `${process.execPath} ${main}`,
      PAWL_LOG_LEVEL: "silent",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  const [code] = await once(child, "close");
  expect(code, output).toBe(0);
  expect(output).toMatch(/send-email +job send-email +high/);
  expect(output).toContain("task 1 created: analyze-lead");
  expect(output).toMatch(/normal +3 /);
  expect(output).toContain("410 gone");
  expect(output).toContain("retried 1 dead letter");
});
