-- Commands: named operations that never run twice at once. Each of their parameters counts on its own; the key of a run is `name`, or
-- `name:param`, and its lock is the named lease `command:<key>`.

create table pawl.command (
  name text primary key,
  title text not null,
  params text[] not null default '{}',
  expected_ms bigint,
  timeout_ms bigint,
  on_crash text not null check (on_crash in ('expire', 'hold')),
  application text not null,
  revision int not null,
  defined_at timestamptz not null default pawl.now()
);

-- One row a run; not ended: it runs, or nobody has said yet what became of it. epoch: of its lease. lost: its process died. released: an
-- operator took the lock away. told_at: when the alert about its lock was given. task_id: of the task that asked a worker for it.
create table pawl.command_run (
  id bigint generated always as identity primary key,
  key text not null,
  epoch bigint not null,
  on_crash text not null,
  host text not null,
  pid int not null,
  by text not null,
  why text,
  started_at timestamptz not null default pawl.now(),
  ended_at timestamptz,
  outcome text check (outcome in ('done', 'failed', 'stopped', 'lost', 'released')),
  error jsonb,
  progress text,
  fraction real,
  told_at timestamptz,
  task_id bigint,
  check ((ended_at is null) = (outcome is null))
);
create index command_run_of_key on pawl.command_run (key, id);
create unique index command_run_open on pawl.command_run (key) where ended_at is null;

-- Where everything is off now, so that each time is told of once. host: where a file or a variable holds all; '': for the whole fleet.
-- since: for the fleet, the beginning of the switch.
create table pawl.lockdown (
  host text primary key,
  since timestamptz not null
);
