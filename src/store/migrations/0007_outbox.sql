-- The outbox: events, destinations, routes, deliveries. A destination is a queue, a delivery is a task.

-- UUIDv7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, then version, variant and randomness.
create function pawl.uuid_v7() returns uuid
language sql volatile
return encode(set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid())
      placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid;

-- ordering: its deliveries in lanes of one aggregate, all in one lane, or in none. application null: made by an operator,
-- and config holds all that delivering needs, secrets sealed or by reference; else the code has it, and config is what
-- people may see.
create table pawl.destination (
  id int generated always as identity primary key,
  name text not null,
  queue_id int not null references pawl.queue (id),
  stream_id int not null references pawl.stream (id),
  type text not null,
  config jsonb not null,
  ordering text not null default 'none' check (ordering in ('none', 'aggregate', 'all')),
  application text,
  revision int not null default 0,
  defined_at timestamptz not null default pawl.now(),
  removed_at timestamptz
);
create unique index destination_by_name on pawl.destination (name) where removed_at is null;

-- Which events go where. In a pattern `*` stands for any run of characters. filter: {"payload", "meta"}, each of which
-- must be contained in the event's; path: a jsonpath predicate over {"name", "aggregateType", "aggregateId", "payload",
-- "meta"}. application null: made by an operator; off_by: turned off by one, whoever made it. fault: when its condition
-- last gave no answer, and for which event; written at most once a minute.
create table pawl.route (
  id int generated always as identity primary key,
  pattern text not null check (pattern ~ '^[A-Za-z0-9_.:*-]+$' and length(pattern) <= 200),
  like_pattern text not null generated always as
    (replace(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')) stored,
  destination_id int not null references pawl.destination (id) on delete cascade,
  filter jsonb,
  path jsonpath,
  priority smallint not null default 1 check (priority between 0 and 3),
  active boolean not null default true,
  fault text,
  fault_at timestamptz,
  fault_event uuid,
  application text,
  defined_at timestamptz not null default pawl.now()
);
create index route_of_destination on pawl.route (destination_id);

-- A fact, recorded in the business transaction. deliveries: how many the router made; 0 is unrouted. target_id: it goes
-- there and nowhere else, whatever the routes say. is_watched: something waits for the ends of its deliveries. Its name's length is not a matter of the expression: counting to 200,
-- that costs 40 times as much, more than all the rest of an insert.
create table pawl.event (
  number bigint generated always as identity,
  id uuid primary key default pawl.uuid_v7(),
  name text not null check (name ~ '^[A-Za-z0-9_.:-]+$' and length(name) <= 200),
  aggregate_type text not null check (length(aggregate_type) between 1 and 200),
  aggregate_id text not null check (length(aggregate_id) between 1 and 500),
  occurred_at timestamptz not null default pawl.now(),
  payload jsonb not null,
  meta jsonb not null default '{}' check (jsonb_typeof(meta) = 'object'),
  target_id int references pawl.destination (id),
  routed_at timestamptz,
  deliveries int,
  is_watched boolean
) with (autovacuum_vacuum_scale_factor = 0.02);

-- The sum is there so that what is asked for in this order is never looked up in event_by_number, among all that is routed.
create index event_to_route on pawl.event ((number + 0)) where routed_at is null;
create index event_unrouted on pawl.event (number) where deliveries = 0;
create index event_by_number on pawl.event (number);

-- The id of a delivery is the id of its task. replay: 0 is the first time.
create table pawl.delivery (
  task_id bigint primary key,
  event_id uuid not null,
  destination_id int not null,
  replay int not null default 0,
  unique (event_id, destination_id, replay)
);

-- Declared for the triggers; what both do is in src/outbox/sql/record.sql.
create function pawl.event_recorded() returns trigger language plpgsql as 'begin return null; end';
create function pawl.check_event() returns trigger language plpgsql as 'begin return new; end';
create function pawl.route_removed() returns trigger language plpgsql as 'begin return null; end';
-- A hook, replaced by a part above: watched events that the router found no route for.
create function pawl.on_unrouted(p_ids uuid[]) returns void language plpgsql as 'begin end';
create trigger route_removed after delete on pawl.route for each row execute function pawl.route_removed();
create trigger event_recorded after insert on pawl.event
  for each statement execute function pawl.event_recorded();
create trigger event_to_check before insert on pawl.event for each row
  when ((octet_length(new.payload::text) >= 1000 or octet_length(new.meta::text) >= 1000) and new.name not like 'pawl' || '.%')
  execute function pawl.check_event();

-- For replays of a time range: small, and nearly free to keep, as numbers and times rise together.
create index event_by_time on pawl.event using brin (occurred_at) with (pages_per_range = 32);

-- What is replayed: events up to last (of dead letters: deliveries up to it), so that what comes later is not.
-- destinations null: each that an event was delivered to; routed: those that routes name now; dead: dead letters only.
-- cursor, cursor_destination: done up to here, an event's number (of dead letters: an id) and within it a destination.
-- next_at: when the rate lets more through. left_alone: deliveries that had not ended, and arrive anyway.
create table pawl.replay (
  id int generated always as identity primary key,
  event_id uuid,
  like_pattern text,
  from_at timestamptz,
  to_at timestamptz,
  destinations int[],
  routed boolean not null,
  dead boolean not null,
  first bigint not null,
  last bigint not null,
  cursor bigint not null,
  cursor_destination int not null default 2147483647,
  rate_limit int not null check (rate_limit > 0),
  rate_per interval not null check (rate_per > '0'),
  next_at timestamptz not null default '-infinity',
  made bigint not null default 0,
  left_alone bigint not null default 0,
  state text not null default 'running' check (state in ('running', 'done', 'stopped')),
  task_id bigint,
  started_by text not null,
  why text,
  started_at timestamptz not null default pawl.now(),
  ended_at timestamptz
);

-- Hooks: a part above replaces their bodies. The names of events that tell of dead tasks.
create function pawl.dead_events() returns setof text language sql immutable as $$ values ('pawl' || '.delivery.dead'), ('pawl' || '.task.dead') $$;
-- Dead tasks of which another event than pawl.task.dead tells: its name, what it is about, and what its
-- payload has besides.
create function pawl.dead_as(p_ids bigint[]) returns table (id bigint, name text, about text, more jsonb) language plpgsql as 'begin end';
