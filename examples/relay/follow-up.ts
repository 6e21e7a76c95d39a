/**
 * The process of this example: somebody at the desk has to see each new issue and each new release. It asks the desk, waits until the desk says
 * that it has seen it, and closes the matter. Killed at any moment, it goes on at the step where it was.
 */

import { defineProcess, type Process } from "pawl";
import { z } from "zod";
import { closeMatter, openMatter } from "./tables.ts";

const DESK_URL = `${process.env.RELAY_RECEIVER_URL ?? "http://127.0.0.1:8787"}/desk`;

const input: z.ZodType<{ eventId: string; kind: string }> = z.object({
  eventId: z.string(),
  kind: z.string(),
});

export const followUp: Process<typeof input> = defineProcess({
  name: "follow-up",
  version: 1,
  input,
  // as patient as the webhooks: the desk may be down for some minutes
  retry: { attempts: 100, delay: "200ms", factor: 2, max: "3s" },
  timeout: "30s",
  steps: (s) =>
    s
      .tx("open", ({ tx, input: matter }) => openMatter(tx, matter))
      // may be asked twice; the desk then says twice that it has seen it, and one signal is taken
      .call("ask", async ({ runId, input: { kind }, signal }) => {
        const body = JSON.stringify({ runId, kind });
        const answer = await fetch(DESK_URL, { method: "POST", body, signal });
        if (!answer.ok) throw new Error(`the desk answered ${answer.status}`);
      })
      .wait("seen", { schema: z.object({ by: z.string() }) })
      .tx("close", ({ tx, input: { eventId }, outputs }) =>
        closeMatter(tx, eventId, outputs.seen.by),
      ),
});
