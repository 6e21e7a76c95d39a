/** Normal priority: what is found out about a lead, and what is written for it. */

import { defineJob, type Job, Unrecoverable } from "pawl";
import { call, callJson } from "./calls.ts";
import { read, rowsOf } from "./client.ts";
import { AnalyzeLead, GenerateOffer, GenerateProposal, SyncAresData } from "./messages.ts";

interface Lead extends Record<string, unknown> {
  id: number;
  url: string;
  industry: string | null;
  analysis: number | null;
}

export async function leadOf(leadId: number): Promise<Lead> {
  const [lead] = await read<Lead>(
    `select l.*, (select max(a.id) from leads.analysis a where a.lead_id = l.id) as analysis from leads.lead l where l.id = $1`,
    [leadId],
  );
  if (lead === undefined) throw new Unrecoverable(`lead ${leadId}: there is none`);
  return lead;
}

/** What is wrong with a page, each with what it costs of 100 points. */
export function findingsOf(html: string): { finding: string; points: number }[] {
  const checks = [
    { finding: "no title", points: 30, isFound: !/<title>[^<]+<\/title>/i.test(html) },
    { finding: "no description", points: 20, isFound: !/<meta name="description"/i.test(html) },
    { finding: "not made for phones", points: 30, isFound: !/<meta name="viewport"/i.test(html) },
    { finding: "pictures without a text", points: 20, isFound: /<img(?![^>]*\balt=)/i.test(html) },
  ];
  return checks
    .filter(({ isFound }) => isFound)
    .map(({ finding, points }) => ({ finding, points }));
}

export const analyzeLead: Job<typeof AnalyzeLead> = defineJob({
  name: "analyze-lead",
  input: AnalyzeLead,
  timeout: "2m",
  key: ({ leadId }) => `lead-${leadId}`,
  run: async ({ leadId, reanalyze, industryFilter }, { tx, signal }) => {
    const lead = await leadOf(leadId);
    if (industryFilter != null && lead.industry !== industryFilter)
      return { skipped: `its industry is ${lead.industry}` };
    if (lead.analysis !== null && !reanalyze)
      return { skipped: `analysis ${lead.analysis} is there` };
    const page = await call(`/sites/${encodeURIComponent(lead.url)}`, { signal });
    const findings = findingsOf(await page.text());
    const score = 100 - findings.reduce((sum, { points }) => sum + points, 0);
    const [row] = await rowsOf<{ id: number }>(
      tx,
      "insert into leads.analysis (lead_id, score, findings) values ($1, $2, $3) returning id",
      [leadId, score, JSON.stringify(findings)],
    );
    await tx.query("update leads.lead set status = 'analyzed' where id = $1", [leadId]);
    return { analysisId: row?.id, score };
  },
});

interface Text {
  text: string;
}

export const generateProposal: Job<typeof GenerateProposal> = defineJob({
  name: "generate-proposal",
  input: GenerateProposal,
  timeout: "3m",
  key: ({ leadId, proposalType }) => `${leadId}-${proposalType}`,
  run: async ({ leadId, userId, proposalType, analysisId }, { tx, signal, idempotencyKey }) => {
    const lead = await leadOf(leadId);
    const [analysis] = await read<{ score: number; findings: unknown }>(
      "select score, findings from leads.analysis where lead_id = $1 and id = coalesce($2, (select max(id) from leads.analysis where lead_id = $1))",
      [leadId, analysisId ?? null],
    );
    if (analysis === undefined) throw new Unrecoverable(`lead ${leadId}: analyze it first`);
    const body = { prompt: `A ${proposalType} proposal for ${lead.url}`, about: analysis };
    const { text } = await callJson<Text>("/ai/generate", { signal, body, idempotencyKey });
    if (text.trim() === "") throw new Error("the model wrote nothing");
    const [row] = await rowsOf<{ id: number }>(
      tx,
      `insert into leads.proposal (lead_id, user_id, type, body) values ($1, $2, $3, $4)
       on conflict (lead_id, type) do update set body = excluded.body, user_id = excluded.user_id, status = 'draft', expires_at = excluded.expires_at
       returning id`,
      [leadId, userId, proposalType, text],
    );
    return { proposalId: row?.id };
  },
});

export const generateOffer: Job<typeof GenerateOffer> = defineJob({
  name: "generate-offer",
  input: GenerateOffer,
  timeout: "3m",
  key: ({ leadId }) => `lead-${leadId}`,
  run: async ({ leadId, userId, proposalId }, { tx, signal, idempotencyKey }) => {
    const lead = await leadOf(leadId);
    const proposals = await read<{ body: string }>(
      "select body from leads.proposal where lead_id = $1 and status <> 'expired' and ($2::int is null or id = $2) order by id",
      [leadId, proposalId ?? null],
    );
    if (proposals.length === 0) throw new Unrecoverable(`lead ${leadId}: no proposal to offer`);
    const body = { prompt: `An offer for ${lead.url}`, about: proposals };
    const { text } = await callJson<Text>("/ai/generate", { signal, body, idempotencyKey });
    if (text.trim() === "") throw new Error("the model wrote nothing");
    const [row] = await rowsOf<{ id: number }>(
      tx,
      `insert into leads.offer (lead_id, user_id, body) values ($1, $2, $3)
       on conflict (lead_id) do update set body = excluded.body where offer.status = 'draft' returning id`,
      [leadId, userId, text],
    );
    return row === undefined ? { skipped: "the offer has gone out" } : { offerId: row.id };
  },
});

export const syncAresData: Job<typeof SyncAresData> = defineJob({
  name: "sync-ares-data",
  input: SyncAresData,
  timeout: "30s",
  key: ({ ico }) => ico,
  run: async ({ ico }, { tx, signal }) => {
    const { name, address } = await callJson<{ name: string; address: string }>(`/ares/${ico}`, {
      signal,
    });
    await tx.query(
      `insert into leads.company (ico, name, address) values ($1, $2, $3)
       on conflict (ico) do update set name = excluded.name, address = excluded.address, synced_at = now()`,
      [ico, name, address],
    );
    return { name };
  },
});
