/** What the tests of replays share: destinations that remember, events, and waiting for the end. */

import { silentLogger } from "../../src/base/log.ts";
import {
  type AppOptions,
  type ConnectOptions,
  connect,
  type Delivery,
  type DestinationDefinition,
  defineApp,
  type Pawl,
  type ReplayRow,
  type Route,
} from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

/** As fast as a replay goes. */
export const FAST: { rate: string } = { rate: "100000/s" };

export interface Collecting extends DestinationDefinition {
  /** What it accepted. */
  readonly seen: Delivery[];
}

export function collecting(deliver: (delivery: Delivery) => void = () => undefined): Collecting {
  const seen: Delivery[] = [];
  return {
    seen,
    type: "collecting",
    config: {},
    retry: { attempts: 3, delay: "20ms", factor: 1 },
    timeoutMs: 30_000,
    deliver: async (delivery) => {
      deliver(delivery);
      seen.push(delivery);
      return {};
    },
  };
}

export function pawlWith(
  destinations: Record<string, DestinationDefinition>,
  routes: readonly Route[],
  url?: string,
): Promise<Pawl> {
  return pawlOf({ destinations, routes }, url === undefined ? {} : { databaseUrl: url });
}

/** On a fresh database unless told which; closed after the file's tests. */
export async function pawlOf(app: AppOptions, options: ConnectOptions = {}): Promise<Pawl> {
  const databaseUrl = options.databaseUrl ?? (await freshDatabase({ longLeases: true })).url;
  const pawl = await connect(defineApp(app), { ...options, databaseUrl, log: silentLogger });
  atEnd(() => pawl.close());
  return pawl;
}

/** Payloads are `{ n }`, from 0. */
export async function orders(
  pawl: Pawl,
  count: number,
  aggregate: (n: number) => number = (n) => n,
): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const event = { aggregate: ["order", aggregate(n)], payload: { n } } as const;
    ids.push((await pawl.record("order.placed", event)).id);
  }
  return ids;
}

/** Every event is routed, and nothing of it waits or runs. */
export async function settledAll(pawl: Pawl, ids: readonly string[]): Promise<void> {
  await until("the deliveries of the events have ended", async () => {
    const [row] = await pawl.store.rows<{ open: number }>(
      `select (count(*) filter (where e.routed_at is null) + count(t.id))::int as open
         from pawl.event e left join pawl.delivery v on v.event_id = e.id
         left join pawl.task t on t.id = v.task_id and t.state <> 'blocked'
        where e.id = any ($1)`,
      [ids],
    );
    return row?.open === 0;
  });
}

export async function routedAll(pawl: Pawl, ids: readonly string[]): Promise<void> {
  await until("the events are routed", async () => {
    const rows = await pawl.store.rows(
      "select from pawl.event where id = any ($1) and routed_at is null",
      [ids],
    );
    return rows.length === 0;
  });
}

export function ended(pawl: Pawl, { id }: ReplayRow): Promise<ReplayRow> {
  return until(`replay ${id} has ended`, async () =>
    (await pawl.replays()).find((one) => one.id === id && one.state !== "running"),
  );
}
