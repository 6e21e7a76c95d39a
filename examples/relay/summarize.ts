/** The job of this example: reads the business row of an event and writes one sentence about it. */

import { defineJob, type Job } from "pawl";
import { z } from "zod";
import { businessPool, readPayload, writeSummary } from "./tables.ts";

const actor = z.object({
  action: z.string().optional(),
  sender: z.object({ login: z.string() }).optional(),
  repository: z.object({ full_name: z.string() }).optional(),
  organization: z.object({ login: z.string() }).optional(),
});

export interface SummarizeInput {
  feedId: number;
  eventId: string;
}

const input: z.ZodType<SummarizeInput> = z.object({
  feedId: z.number().int().positive(),
  eventId: z.string(),
});

export const summarize: Job<typeof input> = defineJob({
  name: "summarize",
  input,
  retry: { attempts: 6, delay: "250ms", factor: 2, max: "4s" },
  timeout: "30s",
  // Every run writes the same row: the event's id is its key.
  run: async ({ feedId, eventId }) => {
    const pool = businessPool();
    const { name, payload } = await readPayload(pool, feedId);
    await writeSummary(pool, eventId, sentence(name, payload));
  },
});

function sentence(name: string, payload: unknown): string {
  const { action, sender, repository, organization } = actor.parse(payload);
  const who = sender?.login ?? "somebody";
  const where = repository?.full_name ?? organization?.login ?? "GitHub";
  return `${who}: ${name}${action === undefined ? "" : ` ${action}`} in ${where}`;
}
