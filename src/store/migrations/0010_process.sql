-- Processes. A run is a task of the queue "processes": its kind is the process, its version the version, its payload the input.

-- The steps of each version, in order, as they were when a run of it could first begin: [{"name", "kind"}].
create table pawl.process_version (
  process text not null,
  version int not null,
  title text,
  shape jsonb not null check (jsonb_typeof(shape) = 'array'),
  application text not null,
  columns jsonb not null default '[]', -- of lists of its runs: [{"name", "path": ["input" | "data" | "meta", …]}]
  keep_sent interval, -- how long payloads that its steps have sent are kept, and results after the end of a run; null: as long as the run
  keep_results interval,
  defined_at timestamptz not null default pawl.now(),
  primary key (process, version)
);

-- What happened in a run, in order. Rows are only ever added: the position of a run is the `next` of the last row that has moved it.
-- seq: of the task, when a worker wrote the row; null: an operator did. signal: what a row waits for, pawl:task:<id>
-- if for the end of a task. until: when waiting or sleeping ends.
create table pawl.process_step (
  run_id bigint not null,
  no int not null,
  seq bigint,
  step text not null,
  outcome text not null check (outcome in ('done', 'skipped', 'failed', 'again', 'began', 'waiting', 'sleeping', 'held', 'ended',
    'restarted', 'completed', 'released', 'migrated', 'abandoned')),
  next text,
  signal text,
  until timestamptz,
  attempt smallint not null default 1,
  message text,
  output jsonb,
  data jsonb,
  sent jsonb,
  notes jsonb, -- [{"level": "info" | "warning", "text"}]
  error jsonb,
  started_at timestamptz,
  ended_at timestamptz not null default pawl.now(),
  by text,
  why text,
  results_pruned_at timestamptz,
  primary key (run_id, no)
);
create index process_step_of_task on pawl.process_step (signal) where signal like 'pawl:%';

-- Items of an `each` step, as they end; no: of the row that has their list. round: rises when the step has failed, or was restarted; what
-- failed in an earlier one runs again. due_at: of one that is to be tried again.
create table pawl.process_item (
  run_id bigint not null,
  no int not null,
  item int not null,
  outcome text not null check (outcome in ('done', 'failed', 'retry')),
  round int not null,
  attempt int not null,
  due_at timestamptz,
  output jsonb,
  error jsonb,
  ended_at timestamptz not null default pawl.now(),
  primary key (run_id, no, item)
);

-- Runs that an operator holds, or wants to be held when the step that runs now has ended.
create table pawl.process_hold (
  run_id bigint primary key,
  by text not null,
  why text,
  asked_at timestamptz not null default pawl.now()
);

-- Answers from outside. taken_no: the step row that took it.
create table pawl.process_signal (
  id bigint generated always as identity primary key,
  run_id bigint not null,
  name text not null,
  payload jsonb not null,
  sent_at timestamptz not null default pawl.now(),
  sent_by text,
  taken_no int
);
create index process_signal_of_run on pawl.process_signal (run_id, id);
