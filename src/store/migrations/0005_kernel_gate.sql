-- What holds work back: switches, which operators throw, and breakers. Last the kernel's hooks.

-- What a person turned off. A switch whose end has passed holds nothing. drops: what would go to this destination is
-- dropped, not held.
create table pawl.switch (
  scope text not null check (scope ~ '^[a-z]+$'),
  name text not null default '',
  off_by text not null,
  why text,
  since timestamptz not null default pawl.now(),
  until timestamptz,
  drops boolean not null default false,
  primary key (scope, name),
  check ((scope = 'all') = (name = ''))
);

-- Scopes that are turned off together, as apps define them. scopes, names: of each member, as in pawl.switch. application '': no code
-- defines it any more.
create table pawl.scope_group (
  name text primary key,
  application text not null,
  scopes text[] not null,
  names text[] not null,
  check (cardinality(scopes) = cardinality(names))
);

-- Windows in which nothing starts, as apps define them: quiet hours. A time is that of a clock on the wall in time_zone; where ends_at is
-- not after begins_at, the window ends on the next day. days: 'mon' … 'sun', '1' … '31', 'last'; null: every day. holds, exempt: scopes,
-- as texts. next_*: the window's next time, computed at next_from, so that a claim need not compute it.
-- passed_*: up to this time an operator lets work start in spite of it.
create table pawl.quiet_hours (
  name text primary key,
  application text not null,
  time_zone text not null,
  begins_at time not null,
  ends_at time not null,
  days text[],
  holds text[] not null,
  exempt text[] not null,
  why text,
  next_from timestamptz,
  next_begins timestamptz,
  next_ends timestamptz,
  passed_until timestamptz,
  passed_by text,
  passed_why text,
  check (begins_at <> ends_at)
);

-- What can be turned off besides `all`, as <kind>:<name>; each part names its own. names: the function that returns the names
-- there are. is_queue: each is the queue <kind>:<name>. kinds_in: each is a kind of task, in this queue; '': in all queues that no part
-- fills. unknown: the SQLSTATE for a name that is not there.
create table pawl.scope_kind (
  kind text primary key check (kind ~ '^[a-z]+$'),
  names text not null,
  is_queue boolean not null,
  kinds_in text,
  unknown text not null
);

-- Rises each time that something is turned off.
create table pawl.off_epoch (epoch bigint not null);
insert into pawl.off_epoch values (0);

-- The breaker of a stream whose attempts fail; no row: closed, and nothing has failed lately.
-- closed: counts, in a window, until too many have failed. open: nothing starts until a time, then one at a time as a
-- probe (probe_id, probe_seq: the last one, until a report comes). recovering: the probe went well, and more and more may
-- run at once (starts) until the row goes.
create table pawl.breaker (
  stream_id int primary key, -- without a constraint, as in pawl.shard
  phase text not null default 'closed' check (phase in ('closed', 'open', 'recovering')),
  since timestamptz not null default pawl.now(),
  until timestamptz,
  ok int not null default 0,
  failed int not null default 0,
  trips smallint not null default 0,
  starts int,
  probe_id bigint,
  probe_seq bigint,
  error jsonb,
  check (phase <> 'open' or until is not null),
  check (phase <> 'recovering' or starts is not null)
) with (fillfactor = 40);
create index breaker_not_closed on pawl.breaker (stream_id) where phase <> 'closed';

-- Hooks: the kernel calls them, a part above it replaces their bodies (src/outbox/sql/own-events.sql, src/process/sql/ends.sql).
-- Tasks have died. Their dead letters are there.
create function pawl.on_dead(p_ids bigint[]) returns void language plpgsql as 'begin end';
-- Tasks that others wait for have ended, or died.
create function pawl.on_end(p_ids bigint[]) returns void language plpgsql as 'begin end';
-- Something is about to be turned off or on.
create function pawl.on_switch(p_scope text, p_name text, p_is_off boolean) returns void language plpgsql as 'begin end';
-- A switch or quiet hours have let something go on.
create function pawl.on_lifted() returns void language plpgsql as 'begin end';
-- The phase of a stream's breaker has changed. p_why: what closed it.
create function pawl.on_breaker(p_stream int, p_before text, p_phase text, p_until timestamptz, p_error jsonb, p_why text) returns void
language plpgsql as 'begin end';
