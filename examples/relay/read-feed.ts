/**
 * Reads the feed page by page. Invariant: an event's row, the position in the feed, the recorded event and the job
 * commit together, so a kill at any moment leaves all of them or none.
 */

import { setTimeout as wait } from "node:timers/promises";
import type { Pawl } from "pawl";
import { z } from "zod";
import { summarize } from "./summarize.ts";
import { type Database, insertEvent, movePosition, noteEventId, readPosition } from "./tables.ts";

const PAGE_SIZE = 100;
const POLL_MS = 2_000;

const page = z.array(
  z.object({
    id: z.number().int().positive(),
    name: z.string(),
    action: z.string().optional(),
    payload: z.record(z.string(), z.unknown()),
  }),
);
type FeedEvent = z.infer<typeof page>[number];

export interface ReadFeedOptions {
  pawl: Pawl;
  business: Database;
  feedUrl: string;
  /** Go on after the end of the feed, and look for more. */
  forever: boolean;
  signal: AbortSignal;
}

/** Resolves at the end of the feed, or when the signal aborts. */
export async function readFeed(options: ReadFeedOptions): Promise<void> {
  const { pawl, business, feedUrl, forever, signal } = options;
  let position = await readPosition(business);
  while (!signal.aborted) {
    const events = await readPage(feedUrl, position);
    for (const event of events) {
      if (signal.aborted) return;
      await load(pawl, event);
      position = event.id;
    }
    if (events.length > 0) continue;
    if (!forever) return;
    await wait(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function readPage(feedUrl: string, after: number): Promise<FeedEvent[]> {
  const response = await fetch(`${feedUrl}/events?after=${after}&limit=${PAGE_SIZE}`);
  if (!response.ok) throw new Error(`the feed answered ${response.status}`);
  return page.parse(await response.json());
}

function load(pawl: Pawl, { id, name, action, payload }: FeedEvent): Promise<void> {
  return pawl.transaction(async (tx) => {
    const aggregate = aggregateOf(payload, id);
    const isNew = await insertEvent(tx, { id, name, aggregate: aggregate.join(" "), payload });
    await movePosition(tx, id);
    if (!isNew) return;
    const { id: eventId } = await pawl.record(
      action === undefined ? `github.${name}` : `github.${name}.${action}`,
      { aggregate, payload },
      { tx },
    );
    await noteEventId(tx, id, eventId);
    await pawl.enqueue(summarize, { feedId: id, eventId }, { tx });
  });
}

const about = z.object({
  repository: z.object({ full_name: z.string().min(1) }).optional(),
  organization: z.object({ login: z.string().min(1) }).optional(),
});

/** What the ledger gets in order: the events of a repository, or of an organization. */
function aggregateOf(payload: unknown, id: number): [string, string | number] {
  const { repository, organization } = about.safeParse(payload).data ?? {};
  if (repository !== undefined) return ["repository", repository.full_name];
  if (organization !== undefined) return ["organization", organization.login];
  return ["feed", id];
}
