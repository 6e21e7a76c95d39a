-- Processes. A run is a task of the queue "processes": its kind is the process, its version the version, its payload the input.

-- The steps of each version, in order, as they were when a run of it could first begin: [{"name", "kind"}].
create table pawl.process_version (
  process text not null,
  version int not null,
  title text,
  shape jsonb not null check (jsonb_typeof(shape) = 'array'),
  application text not null,
  defined_at timestamptz not null default pawl.now(),
  primary key (process, version)
);

-- What happened in a run, in order. Rows are only ever added: the position of a run is the `next` of the last row that has moved it.
-- seq: of the task, when a worker wrote the row; null: an operator did. signal: what a row waits for. until: when waiting or sleeping ends.
create table pawl.process_step (
  run_id bigint not null,
  no int not null,
  seq bigint,
  step text not null,
  outcome text not null check (outcome in ('done', 'skipped', 'failed', 'again', 'began', 'waiting', 'sleeping', 'held', 'ended',
    'restarted', 'completed', 'released', 'abandoned')),
  next text,
  signal text,
  until timestamptz,
  attempt smallint not null default 1,
  message text,
  output jsonb,
  data jsonb,
  sent jsonb,
  error jsonb,
  started_at timestamptz,
  ended_at timestamptz not null default pawl.now(),
  by text,
  why text,
  primary key (run_id, no)
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
