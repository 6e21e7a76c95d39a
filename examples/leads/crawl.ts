/** Low priority: crawling, pictures and figures. */

import { defineJob, type Job, Unrecoverable } from "pawl";
import { call, callJson } from "./calls.ts";
import { client, rowsOf } from "./client.ts";
import { CalculateBenchmarks, DiscoverLeads, TakeScreenshot } from "./messages.ts";
import { analyzeLead, leadOf } from "./sales.ts";

interface Found {
  url: string;
  industry?: string;
  email?: string;
}

export const discoverLeads: Job<typeof DiscoverLeads> = defineJob({
  name: "discover-leads",
  input: DiscoverLeads,
  queue: "low",
  timeout: "5m",
  run: async ({ source, query, limit }, { tx, signal, progress }) => {
    const path = `/discover/${source}?q=${encodeURIComponent(query)}&limit=${limit}`;
    const { results } = await callJson<{ results: Found[] }>(path, { signal });
    const found = results.slice(0, limit);
    const pawl = await client();
    let added = 0;
    for (const { url, industry, email } of found) {
      const [lead] = await rowsOf<{ id: number }>(
        tx,
        "insert into leads.lead (url, industry, email) values ($1, $2, $3) on conflict (url) do nothing returning id",
        [url, industry ?? null, email ?? null],
      );
      if (lead === undefined) continue;
      added += 1;
      await pawl.enqueue(analyzeLead, { leadId: lead.id }, { tx }); // with the lead, or not at all
      progress({ added, of: found.length });
    }
    return { found: found.length, added };
  },
});

export const takeScreenshot: Job<typeof TakeScreenshot> = defineJob({
  name: "take-screenshot",
  input: TakeScreenshot,
  queue: "low",
  timeout: "2m",
  run: async ({ leadId, width }, { tx, signal }) => {
    const lead = await leadOf(leadId);
    const body = { url: lead.url, width };
    const picture = Buffer.from(
      await (await call("/browserless/screenshot", { signal, body })).arrayBuffer(),
    );
    if (picture.subarray(1, 4).toString("latin1") !== "PNG")
      throw new Error(`${lead.url}: what came is no picture`);
    const [row] = await rowsOf(
      tx,
      "update leads.lead set screenshot = $2 where id = $1 returning id",
      [leadId, picture],
    );
    if (row === undefined) throw new Unrecoverable(`lead ${leadId}: it is gone`);
    return { bytes: picture.length };
  },
});

export const calculateBenchmarks: Job<typeof CalculateBenchmarks> = defineJob({
  name: "calculate-benchmarks",
  input: CalculateBenchmarks,
  queue: "low",
  run: async ({ industry }, { tx }) => {
    const rows = await rowsOf<{ industry: string }>(
      tx,
      `insert into leads.benchmark (industry, leads, score)
       select l.industry, count(*), round(avg(a.score)) from leads.lead l
         join lateral (select score from leads.analysis where lead_id = l.id order by id desc limit 1) a on true
        where l.industry is not null and ($1::text is null or l.industry = $1) group by l.industry
       on conflict (industry) do update set leads = excluded.leads, score = excluded.score, calculated_at = now() returning industry`,
      [industry ?? null],
    );
    return { industries: rows.map((row) => row.industry).sort() };
  },
});
