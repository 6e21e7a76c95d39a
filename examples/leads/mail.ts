/** High priority: e-mails go out, and what the provider tells about them comes in. */

import { defineJob, type Job, Unrecoverable } from "pawl";
import { callJson } from "./calls.ts";
import { read, rowsOf } from "./client.ts";
import { ProcessSesWebhook, SendEmail } from "./messages.ts";

interface Offer extends Record<string, unknown> {
  status: string;
  body: string;
  email: string | null;
  suppressed: boolean;
}

export const sendEmail: Job<typeof SendEmail> = defineJob({
  name: "send-email",
  input: SendEmail,
  queue: "high",
  timeout: "1m",
  key: ({ offerId }) => `offer-${offerId}`, // one that waits is enough
  limitKey: () => "ses", // what the provider allows, over all workers: see `keyRate` of the queue
  run: async ({ offerId }, { tx, signal }) => {
    const [offer] = await read<Offer>(
      `select o.status, o.body, l.email, exists (select from leads.suppressed s where s.email = l.email) as suppressed
         from leads.offer o join leads.lead l on l.id = o.lead_id where o.id = $1`,
      [offerId],
    );
    if (offer === undefined) throw new Unrecoverable(`offer ${offerId}: there is none`);
    if (offer.status !== "draft") return { skipped: `it is ${offer.status}` };
    if (offer.email === null) throw new Unrecoverable(`offer ${offerId}: its lead has no address`);
    if (offer.suppressed) return { skipped: "the address is suppressed" };
    // a retry after a lost answer gets the answer of the first call: the provider sends once for a key
    const { messageId } = await callJson<{ messageId: string }>("/ses/send", {
      signal,
      body: { to: offer.email, text: offer.body },
      idempotencyKey: `offer-${offerId}`,
    });
    await tx.query(
      "update leads.offer set status = 'sent', message_id = $2, sent_at = now() where id = $1 and status = 'draft'",
      [offerId, messageId],
    );
    return { messageId };
  },
});

const STATUS = { delivery: "delivered", bounce: "bounced", complaint: "complained" } as const;

export const processSesWebhook: Job<typeof ProcessSesWebhook> = defineJob({
  name: "process-ses-webhook",
  input: ProcessSesWebhook,
  queue: "high",
  key: ({ id }) => id,
  run: async ({ id, type, messageId, email }, { tx, attempt }) => {
    const first = await rowsOf(
      tx,
      "insert into leads.mail_event (id) values ($1) on conflict do nothing returning id",
      [id],
    );
    if (first.length === 0) return { skipped: "it came before" };
    const offers = await rowsOf<{ id: number }>(
      tx,
      "update leads.offer set status = $2 where message_id = $1 returning id",
      [messageId, STATUS[type]],
    );
    // it may come before the commit of what sent it: the retries wait for that
    if (offers.length === 0 && attempt < 3) throw new Error(`message ${messageId}: not known yet`);
    if (type !== "delivery") {
      await tx.query(
        "insert into leads.suppressed (email, why) values ($1, $2) on conflict do nothing",
        [email, type],
      );
    }
    return { offer: offers[0]?.id ?? null };
  },
});
