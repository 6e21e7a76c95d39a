/** The business tables of this example, in their own schema, and every statement on them. Pawl knows nothing about them. */

import pg from "pg";

/** Any number; the lock is held while `main.ts` runs, so that a database has only one relay. */
const ONE_RELAY = 7_274_013_582;
const LOCK_TRIES = 25;
const LOCK_WAIT_MS = 200;

/** A transaction, a pool or a client: all have this method, those of `pawl.transaction` and of node-postgres. */
export interface Database {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

const TABLES = `
  create schema if not exists relay;
  create table if not exists relay.event (
    feed_id bigint primary key,
    name text not null,
    aggregate text not null, -- what the event is about: what the order of deliveries is kept for
    payload jsonb not null,
    event_id uuid unique, -- the id of the event that Pawl recorded in the same transaction
    read_at timestamptz not null default now()
  );
  create table if not exists relay.summary (
    event_id uuid primary key,
    sentence text not null,
    written_at timestamptz not null default now()
  );
  create table if not exists relay.alarm (
    alarm_id uuid primary key, -- the event that raised it: a second row for it would be an error
    delivery_id bigint not null,
    destination text not null,
    event_id uuid not null,
    raised_at timestamptz not null default now()
  );
  create table if not exists relay.matter (
    event_id uuid primary key, -- what the desk has to see: a second row for it would be an error
    kind text not null,
    opened_at timestamptz not null default now(),
    seen_by text,
    closed_at timestamptz
  )`;

let pool: pg.Pool | undefined;

/** The pool of this process, on the database that its worker uses. */
export function businessPool(): pg.Pool {
  if (pool === undefined) {
    pool = new pg.Pool({
      connectionString: process.env.DATABASE_URL,
      max: 4,
      allowExitOnIdle: true,
    });
    // An idle connection that is lost is replaced at the next query; without a listener, it would end the process.
    pool.on("error", () => undefined);
  }
  return pool;
}

/** The connection of `main.ts` for its own tables. It also makes sure that this is the only relay. */
export async function openBusiness(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: "relay" });
  client.on("error", () => undefined); // the next query says so
  await client.connect();
  try {
    await lockOut(client);
    await client.query(TABLES);
    return client;
  } catch (error) {
    await client.end();
    throw error;
  }
}

/** Waits a little: the connection of a relay that was just killed may still be open. */
async function lockOut(client: pg.Client): Promise<void> {
  for (let tries = 0; tries < LOCK_TRIES; tries++) {
    const { rows } = await client.query("select pg_try_advisory_lock($1) as locked", [ONE_RELAY]);
    if ((rows[0] as { locked: boolean }).locked) return;
    await new Promise((resolve) => setTimeout(resolve, LOCK_WAIT_MS));
  }
  throw new Error("another relay runs on this database; stop it first, or set PAWL_DIR");
}

/** Returns false if the event exists already. */
export async function insertEvent(
  database: Database,
  event: { id: number; name: string; aggregate: string; payload: unknown },
): Promise<boolean> {
  const { rows } = await database.query(
    `insert into relay.event (feed_id, name, aggregate, payload) values ($1, $2, $3, $4)
     on conflict (feed_id) do nothing returning feed_id`,
    [event.id, event.name, event.aggregate, JSON.stringify(event.payload)],
  );
  return rows.length > 0;
}

export async function noteEventId(database: Database, id: number, eventId: string): Promise<void> {
  await database.query("update relay.event set event_id = $2 where feed_id = $1", [id, eventId]);
}

export async function readPayload(
  database: Database,
  id: number,
): Promise<{ name: string; payload: unknown }> {
  const { rows } = await database.query(
    "select name, payload from relay.event where feed_id = $1",
    [id],
  );
  if (rows.length === 0) throw new Error(`relay.event has no row ${id}; was the table emptied?`);
  return rows[0] as { name: string; payload: unknown };
}

export async function writeSummary(
  database: Database,
  eventId: string,
  sentence: string,
): Promise<void> {
  await database.query(
    `insert into relay.summary (event_id, sentence) values ($1, $2)
     on conflict (event_id) do update set sentence = excluded.sentence`,
    [eventId, sentence],
  );
}

/** Needs no `on conflict`: it is in the transaction that settles the alarm, so it does not happen twice. */
export async function insertAlarm(
  database: Database,
  alarmId: string,
  dead: { deliveryId: string; destination: string; eventId: string },
): Promise<void> {
  await database.query(
    "insert into relay.alarm (alarm_id, delivery_id, destination, event_id) values ($1, $2, $3, $4)",
    [alarmId, dead.deliveryId, dead.destination, dead.eventId],
  );
}

/** Needs no `on conflict`: it commits together with its step. */
export async function openMatter(
  database: Database,
  { eventId, kind }: { eventId: string; kind: string },
): Promise<void> {
  await database.query("insert into relay.matter (event_id, kind) values ($1, $2)", [
    eventId,
    kind,
  ]);
}

export async function closeMatter(database: Database, eventId: string, by: string): Promise<void> {
  await database.query(
    "update relay.matter set seen_by = $2, closed_at = now() where event_id = $1",
    [eventId, by],
  );
}

export interface RowCounts {
  events: number;
  /** Events that also go to the broken destination. */
  pings: number;
  jobs: number;
  alarms: number;
  /** Events that a process follows: opened issues and published releases. */
  processes: number;
  /** Of these, the ones that the desk has seen, and whose process has closed the matter. */
  processesDone: number;
}

export async function countRows(database: Database): Promise<RowCounts> {
  const { rows } = await database.query(
    `select e.*, (select count(*) from relay.summary)::int as jobs,
            (select count(*) from relay.alarm)::int as alarms,
            (select count(*) from relay.matter where closed_at is not null)::int as "processesDone"
       from (select count(*)::int as events, count(*) filter (where name = 'ping')::int as pings,
                    count(*) filter (where (name, payload ->> 'action') in (('issues', 'opened'), ('release', 'published')))::int
                      as processes
               from relay.event) e`,
  );
  return rows[0] as RowCounts;
}

export interface BusinessRow {
  feed_id: string;
  event_id: string | null;
  aggregate: string;
  has_summary: boolean;
}

/** Every business row with its result here, in the order in which they were read. */
export async function allRows(database: Database): Promise<BusinessRow[]> {
  const { rows } = await database.query(
    `select e.feed_id, e.event_id, e.aggregate, s.event_id is not null as has_summary
       from relay.event e left join relay.summary s on s.event_id = e.event_id order by e.feed_id`,
  );
  return rows as BusinessRow[];
}
