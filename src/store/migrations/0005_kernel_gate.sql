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

-- What can be turned off besides `all`, as <kind>:<name>; each part names its own. names: the function that returns the names
-- there are. is_queue: each is the queue <kind>:<name>. unknown: the SQLSTATE for a name that is not there.
create table pawl.scope_kind (
  kind text primary key check (kind ~ '^[a-z]+$'),
  names text not null,
  is_queue boolean not null,
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

-- Hooks: the kernel calls them, a part above it replaces their bodies (src/outbox/sql/own-events.sql).
-- Tasks have died. Their dead letters are there.
create function pawl.on_dead(p_ids bigint[]) returns void language plpgsql as 'begin end';
-- Something is about to be turned off or on.
create function pawl.on_switch(p_scope text, p_name text, p_is_off boolean) returns void language plpgsql as 'begin end';
-- The phase of a stream's breaker has changed. p_why: what closed it.
create function pawl.on_breaker(p_stream int, p_before text, p_phase text, p_until timestamptz, p_error jsonb, p_why text) returns void
language plpgsql as 'begin end';
