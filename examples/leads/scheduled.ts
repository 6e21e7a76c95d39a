/** What runs by the clock: five schedules, and the four jobs that nothing else starts. */

import { defineJob, defineSchedule, type Job, type Schedule } from "pawl";
import { z } from "zod";
import { callJson } from "./calls.ts";
import { client, read, rowsOf } from "./client.ts";
import { calculateBenchmarks, discoverLeads } from "./crawl.ts";
import { DiscoverLeads } from "./messages.ts";

const Nothing = z.object({});
const DAY_MS = 86_400_000;

export const expireProposals: Job<typeof Nothing> = defineJob({
  name: "expire-proposals",
  input: Nothing,
  run: async (_, { tx }) => {
    const sql =
      "update leads.proposal set status = 'expired' where status = 'draft' and expires_at < now() returning id";
    return { expired: (await rowsOf(tx, sql)).length };
  },
});

export const checkCertificates: Job<typeof Nothing> = defineJob({
  name: "check-certificates",
  input: Nothing,
  run: async (_, { tx, signal }) => {
    const soon: string[] = [];
    for (const { id, url } of await read<{ id: number; url: string }>(
      "select id, url from leads.lead order by id",
    )) {
      const { validTo } = await callJson<{ validTo: string }>(`/tls/${encodeURIComponent(url)}`, {
        signal,
      });
      await tx.query("update leads.lead set certificate_until = $2 where id = $1", [id, validTo]);
      if (Date.parse(validTo) < Date.now() + 14 * DAY_MS) soon.push(url);
    }
    return { soon };
  },
});

export const cleanUp: Job<z.ZodObject<{ olderThanDays: z.ZodNumber }>> = defineJob({
  name: "clean-up",
  input: z.object({ olderThanDays: z.number() }),
  queue: "low",
  run: async ({ olderThanDays }, { tx }) => {
    const old = "now() - $1 * interval '1 day'";
    const events = await rowsOf(tx, `delete from leads.mail_event where at < ${old} returning id`, [
      olderThanDays,
    ]);
    const analyses = await rowsOf(
      tx,
      `delete from leads.analysis a where created_at < ${old}
          and exists (select from leads.analysis n where n.lead_id = a.lead_id and n.id > a.id) returning id`,
      [olderThanDays],
    );
    return { events: events.length, analyses: analyses.length };
  },
});

/** One task for each row of the settings that is enabled. */
export const batchDiscovery: Job<typeof Nothing> = defineJob({
  name: "batch-discovery",
  input: Nothing,
  queue: "low",
  run: async (_, { tx }) => {
    const pawl = await client();
    const settings = await rowsOf(
      tx,
      `select source, query, size as "limit" from leads.discovery where enabled order by 1, 2`,
    );
    for (const one of settings) await pawl.enqueue(discoverLeads, DiscoverLeads.parse(one), { tx });
    return { searches: settings.length };
  },
});

const timeZone = "Europe/Prague";

export const schedules: readonly Schedule[] = [
  defineSchedule({
    name: "expire-proposals",
    cron: "0 1 * * *",
    timeZone,
    job: expireProposals,
    input: {},
  }),
  defineSchedule({
    name: "check-certificates",
    cron: "0 2 * * *",
    timeZone,
    job: checkCertificates,
    input: {},
  }),
  defineSchedule({
    name: "benchmarks",
    cron: "0 3 * * MON",
    timeZone,
    job: calculateBenchmarks,
    input: {},
  }),
  defineSchedule({
    name: "clean-up",
    cron: "0 4 * * SUN",
    timeZone,
    job: cleanUp,
    input: { olderThanDays: 90 },
  }),
  defineSchedule({
    name: "batch-discovery",
    cron: process.env.LEADS_DISCOVERY ?? "0 5 * * *",
    timeZone,
    job: batchDiscovery,
    input: {},
  }),
];
