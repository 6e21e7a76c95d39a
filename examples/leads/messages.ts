/** The nine messages: what waits in the queues, and nothing else. A job's `input` is one of these. */

import { z } from "zod";

const id = z.number().int().positive();

export const SendEmail = z.object({ offerId: id, userId: id.nullish() });
export const ProcessSesWebhook = z.object({
  id: z.string().min(1),
  type: z.enum(["delivery", "bounce", "complaint"]),
  messageId: z.string().min(1),
  email: z.string().email(),
});
export const AnalyzeLead = z.object({
  leadId: id,
  reanalyze: z.boolean().default(false),
  industryFilter: z.string().nullish(),
});
export const GenerateProposal = z.object({
  leadId: id,
  userId: id,
  proposalType: z.enum(["design", "seo", "accessibility"]),
  analysisId: id.nullish(),
});
export const GenerateOffer = z.object({ leadId: id, userId: id, proposalId: id.nullish() });
export const SyncAresData = z.object({ ico: z.string().regex(/^\d{8}$/) });
export const DiscoverLeads = z.object({
  source: z.enum(["search", "directory"]),
  query: z.string().min(1),
  limit: z.number().int().min(1).max(100).default(20),
});
export const TakeScreenshot = z.object({ leadId: id, width: z.number().int().default(1280) });
export const CalculateBenchmarks = z.object({ industry: z.string().nullish() });
