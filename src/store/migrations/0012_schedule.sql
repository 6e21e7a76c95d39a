-- Schedules: what starts a task again and again. The row keeps the next due time that nobody has decided about yet.

-- application: null when an operator made it, '' when no code defines it any more. task: what the kernel gets for each start, without the due
-- time. version: rises when the definition changes; what was computed from an older one is not fired. next_at: the next due time; null: never.
-- fire_at: the same with its jitter. waiting_at: a due time that waits until the last task has ended. cancelled_task: was asked to end.
create table pawl.schedule (
  id int generated always as identity primary key,
  name text not null unique check (name ~ '^[a-z][a-z0-9_.-]*$' and length(name) <= 80),
  cron text,
  every_ms bigint check (every_ms >= 1000),
  origin timestamptz,
  time_zone text,
  jitter_ms bigint not null default 0,
  starts text not null check (starts in ('job', 'process', 'command')),
  target text not null,
  task jsonb not null,
  missed text not null check (missed in ('skip', 'last', 'all')),
  missed_ms bigint,
  overlap text not null check (overlap in ('skip', 'queue', 'all', 'cancel')),
  is_enabled boolean not null,
  application text,
  revision int not null default 0,
  version int not null default 1,
  defined_at timestamptz not null default pawl.now(),
  next_at timestamptz,
  fire_at timestamptz,
  waiting_at timestamptz,
  last_at timestamptz,
  last_task bigint,
  cancelled_task bigint,
  check ((cron is not null) = (time_zone is not null) and (every_ms is not null) = (origin is not null) and (cron is null) = (every_ms is not null)),
  check ((missed = 'all') = (missed_ms is not null)),
  check ((next_at is null) = (fire_at is null))
);
create index schedule_due on pawl.schedule (fire_at);
create index schedule_waiting on pawl.schedule (id) where waiting_at is not null;

-- What became of each due time. A due time of a schedule is started once at most. amount: how many due times in a row ended like this one, the
-- first of them at since.
create table pawl.schedule_run (
  schedule_id int not null, -- without a constraint: each firing would look it up
  due_at timestamptz not null,
  outcome text not null check (outcome in ('started', 'duplicate', 'overlap', 'missed', 'failed')),
  task_id bigint,
  since timestamptz,
  amount int not null default 1,
  error text,
  by text,
  at timestamptz not null default pawl.now(),
  primary key (schedule_id, due_at)
);
