-- What comes in: sources with their cursors, the log of windows, pages as received, the inbox, and where events end up.

-- What the fleet's code defines, and where loading stands. requested: the cursor of the next window. window_id: the
-- current window, kept after an empty answer and taken again. held_*: nothing is requested until a person decides.
-- highest: of numeric cursors the highest ever; below it, after a rewind, ids come again. received: events that it has
-- put into the inbox to be stored; less source_storage.taken it is the backlog, without counting it.
create table pawl.source (
  id int generated always as identity primary key,
  name text not null unique check (name ~ '^[a-z][a-z0-9_.-]*$' and length(name) <= 80),
  type text not null,
  config jsonb not null,
  cursor_kind text not null check (cursor_kind in ('number', 'opaque')),
  is_push boolean not null,
  start text not null,
  gap interval not null,
  idle interval not null,
  on_fault jsonb not null,
  retry jsonb not null,
  high_water bigint not null,
  low_water bigint not null,
  ordering text not null check (ordering in ('none', 'source')),
  has_handler boolean not null,
  application text not null,
  revision int not null default 0,
  defined_at timestamptz not null default pawl.now(),
  requested text not null,
  highest text not null,
  state text not null default 'active' check (state in ('active', 'held')),
  held_fault text check (held_fault in ('unsent', 'answered', 'unknown')),
  held_error text,
  held_at timestamptz,
  is_full boolean not null default false,
  failures int not null default 0,
  last_error text,
  next_at timestamptz not null default '-infinity',
  window_id bigint,
  window_at timestamptz,
  memo jsonb,
  lag bigint,
  last_fetch_at timestamptz,
  last_event_at timestamptz,
  received bigint not null default 0,
  duplicates bigint not null default 0
) with (fillfactor = 40);

-- The storing side. stored: everything up to it has been stored or set aside. floor: no event below this number waits.
-- taken: events that wait no more, stored or set aside; set_aside: those that lie in the inbox as bad or raw.
create table pawl.source_storage (
  source_id int primary key references pawl.source (id),
  stored text not null,
  floor bigint not null default 0,
  taken bigint not null default 0,
  stored_count bigint not null default 0,
  duplicates bigint not null default 0,
  set_aside bigint not null default 0,
  failures int not null default 0,
  next_at timestamptz not null default '-infinity',
  error text,
  last_stored_at timestamptz
) with (fillfactor = 40);

-- One row a window: reserved → sent → answered → done, or empty; failed waits for its retry, held for a person, who may
-- release or skip it. fault: of the last try. epoch: of the lease under which it was last taken up.
create table pawl.source_window (
  id bigint generated always as identity,
  source_id int not null,
  state text not null check (state in ('reserved', 'sent', 'answered', 'done', 'empty', 'failed', 'held', 'skipped', 'released')),
  after_cursor text not null,
  next_cursor text,
  attempt int not null default 0,
  fault text check (fault in ('unsent', 'answered', 'unknown')),
  error text,
  events int not null default 0,
  duplicates int not null default 0,
  bad int not null default 0,
  epoch bigint not null,
  holder text,
  reserved_at timestamptz not null default pawl.now(),
  sent_at timestamptz,
  answered_at timestamptz,
  ended_at timestamptz,
  primary key (id, reserved_at)
) partition by range (reserved_at);
create index source_window_by_source on pawl.source_window (source_id, id);
create table pawl.source_window_default partition of pawl.source_window default;

-- What pruning keeps of windows when it is asked to: months of their own, which are never dropped by Pawl.
create table pawl.source_window_archive (
  like pawl.source_window including defaults, archived_at timestamptz not null default pawl.now(), primary key (id, reserved_at)
) partition by range (reserved_at);
create table pawl.source_window_archive_default partition of pawl.source_window_archive default;

-- A page as it was received, until it has been parsed.
create table pawl.source_page (
  window_id bigint primary key,
  source_id int not null,
  bytes bytea not null,
  content_type text,
  info jsonb,
  retry_after_ms int
);

-- ready: to be stored, in the order of number, which within a source is the order of commits (its lease is held while
-- they are inserted). bad: set aside, with its bytes where it could not be decoded. raw: bytes to be decoded again.
-- is_event: what raw holds is the event as the source had decoded it already, JSON, which could not be stored.
create table pawl.inbox (
  number bigint generated always as identity primary key,
  source_id int not null,
  event_id text not null,
  state text not null default 'ready' check (state in ('ready', 'bad', 'raw')),
  name text,
  occurred_at timestamptz,
  received_at timestamptz not null default pawl.now(),
  after_cursor text not null,
  payload jsonb,
  meta jsonb,
  raw bytea,
  is_event boolean,
  attempts int not null default 0,
  next_at timestamptz,
  error text,
  failed_at timestamptz
) with (autovacuum_vacuum_scale_factor = 0.02);
create unique index inbox_by_event on pawl.inbox (source_id, event_id);
create index inbox_to_store on pawl.inbox (source_id, number) where state = 'ready';
create index inbox_set_aside on pawl.inbox (source_id, number) where state <> 'ready';

-- Where events go when the app says nothing else.
create table pawl.stored_event (
  source_id int not null,
  event_id text not null,
  number bigint not null,
  name text,
  occurred_at timestamptz,
  received_at timestamptz not null,
  stored_at timestamptz not null default pawl.now(),
  payload jsonb not null,
  meta jsonb,
  primary key (source_id, event_id)
);

-- Events that a handler of the app has stored: the same id is not given to it again.
create table pawl.inbox_seen (
  source_id int not null,
  event_id text not null,
  seen_at timestamptz not null default pawl.now(),
  primary key (source_id, event_id)
);
