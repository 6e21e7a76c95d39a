/** An app of sources on a database of its own, worked in this process, for tests of the inbox. */

import { onTestFinished } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AppOptions,
  connect,
  defineApp,
  type Pawl,
  type SourceDefinition,
  type SourceEvent,
  type SourceState,
  type WorkOptions,
} from "../../src/index.ts";
import { freshDatabase } from "./database.ts";
import { present } from "./present.ts";
import { until } from "./until.ts";

export interface InboxApp {
  pawl: Pawl;
  url: string;
  source: (name: string) => Promise<SourceState>;
  /** Resolves when the source looks like this. */
  becomes: (name: string, what: Partial<SourceState>) => Promise<SourceState>;
}

/** The process of the test may stand still: what it asks for meanwhile is not given up. */
const LEASE_MS = 600_000;

export async function inboxApp(
  sources: readonly SourceDefinition[],
  { work = {}, ...more }: AppOptions & { work?: WorkOptions | false } = {},
): Promise<InboxApp> {
  const { url } = await freshDatabase({ longLeases: true });
  const patient = sources.map((source) => ({ ...source, leaseMs: LEASE_MS }));
  const app = defineApp({ sources: patient, ...more });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  if (work !== false) await pawl.work(work);
  return {
    pawl,
    url,
    source: (name) => present(pawl.sources.get(name)),
    becomes: (name, what) =>
      until(`source ${name} is ${JSON.stringify(what)}`, async () => {
        const source = await present(pawl.sources.get(name));
        const isSo = Object.entries(what).every(
          ([key, value]) => source[key as keyof SourceState] === value,
        );
        return isSo && source;
      }),
  };
}

/** Events with the ids from the first to the last. */
export function events(first: number, last: number): SourceEvent[] {
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => ({
    id: String(first + i),
    name: "test.event",
    payload: { n: first + i },
  }));
}

/** What a well-behaved source of `count` events answers. */
export function upTo(count: number): (after: string, limit: number) => Promise<SourceEvent[]> {
  return async (after, limit) => events(Number(after) + 1, Math.min(Number(after) + limit, count));
}

export async function storedIds(pawl: Pawl, source: string): Promise<string[]> {
  const rows = await pawl.store.rows<{ event_id: string }>(
    `select e.event_id from pawl.stored_event e join pawl.source s on s.id = e.source_id
      where s.name = $1 order by e.number`,
    [source],
  );
  return rows.map((row) => row.event_id);
}
