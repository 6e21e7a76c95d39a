-- What comes in: sources with their cursors, the log of windows, pages as received, the inbox, and where events end up.
-- Lock order: the lease of a source → its row → its window; the storing side has a row of its own.

-- What the fleet's code defines, and where loading stands. requested: the cursor of the next window. window_id: the
-- current window, kept after an empty answer and taken again. held_*: nothing is requested until a person decides.
-- received: events that it has put into the inbox; less source_storage.taken it is the backlog, without counting it.
create table pawl.source (
  id int generated always as identity primary key,
  name text not null unique check (name ~ '^[a-z][a-z0-9_.-]{0,79}$'),
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
  state text not null default 'active' check (state in ('active', 'held')),
  held_fault text check (held_fault in ('unsent', 'answered', 'unknown')),
  held_error text,
  held_at timestamptz,
  paused_at timestamptz,
  paused_by text,
  paused_why text,
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

-- The storing side. stored: everything up to it has left the inbox. floor: no event below this number waits.
-- taken: events that left the inbox, set aside or not; set_aside: those that lie in it as bad.
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

-- {"application", "revision", "sources": [{"name", "type", "config", "cursor", "is_push", "start", "gap_ms", "idle_ms",
--   "on_fault", "retry", "high_water", "low_water", "ordering", "has_handler"}]}
-- Where loading stands is never changed by a definition; a changed kind of cursor is refused.
create function pawl.register_sources_v1(p_definitions jsonb) returns void
language plpgsql volatile as $$
declare
  v_application text := p_definitions ->> 'application';
  v_revision int := (p_definitions ->> 'revision')::int;
  v_changed text;
begin
  perform pg_advisory_xact_lock(hashtextextended('pawl.register', 0));
  select s.name into v_changed from pawl.source s
    join jsonb_to_recordset(p_definitions -> 'sources') as d (name text, cursor text) on d.name = s.name
   where d.cursor <> s.cursor_kind order by s.name limit 1;
  if found then
    raise exception 'source "%" has the other kind of cursor in the database', v_changed using errcode = 'PW010',
      hint = 'give the source a new name: its events keep their places under the old one';
  end if;
  insert into pawl.source as s (name, type, config, cursor_kind, is_push, start, gap, idle, on_fault, retry, high_water,
    low_water, ordering, has_handler, application, revision, requested)
  select d.name, d.type, d.config, d.cursor, d.is_push, d.start, d.gap_ms * interval '1 ms', d.idle_ms * interval '1 ms',
         d.on_fault, d.retry, d.high_water, d.low_water, d.ordering, d.has_handler, v_application, v_revision, d.start
    from jsonb_to_recordset(p_definitions -> 'sources') as d (name text, type text, config jsonb, cursor text,
      is_push boolean, start text, gap_ms int, idle_ms int, on_fault jsonb, retry jsonb, high_water bigint,
      low_water bigint, ordering text, has_handler boolean)
   order by d.name
  on conflict (name) do update
     set type = excluded.type, config = excluded.config, is_push = excluded.is_push, start = excluded.start,
         gap = excluded.gap, idle = excluded.idle, on_fault = excluded.on_fault, retry = excluded.retry,
         high_water = excluded.high_water, low_water = excluded.low_water, ordering = excluded.ordering,
         has_handler = excluded.has_handler, application = excluded.application, revision = excluded.revision,
         defined_at = pawl.now()
   where s.application <> excluded.application or s.revision <= excluded.revision;
  insert into pawl.source_storage (source_id, stored)
  select s.id, s.start from pawl.source s
    join jsonb_to_recordset(p_definitions -> 'sources') as d (name text) on d.name = s.name order by s.id
  on conflict do nothing;
end $$;

create function pawl.is_off_all() returns boolean
language sql stable as $$
  select exists (select 1 from pawl.switch w where w.scope = 'all' and (w.until is null or w.until > pawl.now()))
$$;

-- Sources that a loader may take up, the longest waiting first; wait_ms: not before. held by nobody now, or its lease
-- runs out then.
create function pawl.due_sources_v1(p_names text[]) returns table (name text, is_push boolean, wait_ms float8)
language sql stable as $$
  select s.name, s.is_push, greatest(extract(epoch from greatest(s.next_at, l.lease_until) - pawl.now()) * 1000, 0)::float8
    from pawl.source s left join pawl.lease l on l.name = 'source:' || s.name
   where s.name = any (p_names) and s.state = 'active' and s.paused_at is null and not pawl.is_off_all()
   order by 3, s.last_fetch_at nulls first, s.name
$$;

create function pawl.backlog(p_source pawl.source) returns bigint
language sql stable as $$
  select (p_source).received - t.taken from pawl.source_storage t where t.source_id = (p_source).id
$$;

-- What follows a fault: the definition's action for its kind. Answers retry or hold. The caller holds the source's row.
create function pawl.fault_of_window(p_source int, p_window bigint, p_at timestamptz, p_fault text, p_error text,
  p_retry_after_ms bigint) returns text
language plpgsql volatile as $$
declare
  v_source pawl.source;
  v_action text;
  v_delay interval;
begin
  select s.* into v_source from pawl.source s where s.id = p_source;
  v_action := coalesce(v_source.on_fault ->> p_fault, 'hold');
  if v_action = 'retry' and v_source.failures + 1 >= (v_source.retry ->> 'attempts')::int then v_action := 'hold'; end if;
  v_delay := greatest(pawl.retry_delay_ms(v_source.retry, v_source.failures + 1, random()), coalesce(p_retry_after_ms, 0),
    0) * interval '1 ms';
  update pawl.source_window w set state = case v_action when 'retry' then 'failed' else 'held' end, fault = p_fault,
         error = left(p_error, 2000), ended_at = pawl.now()
   where w.id = p_window and w.reserved_at = p_at;
  update pawl.source s
     set failures = s.failures + 1, last_error = left(p_error, 2000),
         next_at = case v_action when 'retry' then pawl.now() + v_delay else s.next_at end,
         state = case v_action when 'retry' then 'active' else 'held' end,
         held_fault = case v_action when 'hold' then p_fault end, held_at = case v_action when 'hold' then pawl.now() end,
         held_error = case v_action when 'hold' then left(p_error, 2000) end
   where s.id = p_source;
  if v_action = 'retry' then
    delete from pawl.source_page g where g.window_id = p_window;
  else
    perform pawl.announce_source_v1(p_source, 'held');
  end if;
  return v_action;
end $$;

create function pawl.announce_source_v1(p_source int, p_verb text) returns void
language plpgsql volatile as $$
begin
  if not pawl.is_wanted('pawl' || '.source.' || p_verb) then return; end if;
  insert into pawl.event (name, aggregate_type, aggregate_id, payload)
  select 'pawl' || '.source.' || p_verb, 'source', s.name,
         jsonb_build_object('source', s.name, 'fault', s.held_fault, 'error', s.held_error, 'cursor', s.requested)
    from pawl.source s where s.id = p_source;
end $$;

-- The fence of all that a loader writes: the lease, then the source's row, then the window if it is still the current one.
create function pawl.own_source(p_name text, p_epoch bigint) returns pawl.source
language plpgsql volatile as $$
declare
  v_source pawl.source;
begin
  perform pawl.require_read_committed();
  perform pawl.hold_lease_v1('source:' || p_name, p_epoch);
  select s.* into v_source from pawl.source s where s.name = p_name for no key update;
  return v_source;
end $$;

-- Takes up the current window or reserves the next. outcome: reserved (send it after wait_ms) | answered (parse the page
-- that is kept) | wait (look again after wait_ms; null: when a person has acted) with its reason:
-- held | paused | off | full | not_due.
-- What a lost loader left: reserved was not sent; sent is an unknown outcome; answered has its page.
create function pawl.reserve_window_v1(p_name text, p_epoch bigint, p_holder text)
returns table (outcome text, reason text, wait_ms float8, window_id bigint, window_at timestamptz, after text, memo jsonb,
  attempt int)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_source pawl.source := pawl.own_source(p_name, p_epoch);
  v_window pawl.source_window;
  v_backlog bigint;
begin
  outcome := 'wait';
  if v_source.window_id is not null then
    select w.* into v_window from pawl.source_window w where w.id = v_source.window_id and w.reserved_at = v_source.window_at;
  end if;
  if v_window.state = 'sent' and v_source.state = 'active' then
    perform pawl.fault_of_window(v_source.id, v_window.id, v_window.reserved_at, 'unknown',
      'the loader was lost after the request was sent: it may have been executed', null);
    select s.* into v_source from pawl.source s where s.id = v_source.id;
    v_window.state := 'failed';
  end if;
  if v_source.state = 'held' then reason := 'held'; return next; return; end if;
  if v_source.paused_at is not null then reason := 'paused'; return next; return; end if;
  if pawl.is_off_all() then reason := 'off'; return next; return; end if;
  window_id := v_window.id;
  window_at := v_window.reserved_at;
  after := v_window.after_cursor;
  attempt := v_window.attempt;
  memo := v_source.memo;
  if v_window.state = 'answered' then outcome := 'answered'; return next; return; end if;
  if v_source.next_at > pawl.now() then
    reason := 'not_due';
    wait_ms := extract(epoch from v_source.next_at - pawl.now()) * 1000;
    return next;
    return;
  end if;
  v_backlog := pawl.backlog(v_source);
  if v_backlog >= v_source.high_water or (v_source.is_full and v_backlog > v_source.low_water) then
    if not v_source.is_full then update pawl.source s set is_full = true where s.id = v_source.id; end if;
    reason := 'full';
    wait_ms := 100;
    return next;
    return;
  end if;
  if v_window.state in ('reserved', 'empty', 'failed') then
    update pawl.source_window w set state = 'reserved', epoch = p_epoch, holder = p_holder, ended_at = null
     where w.id = window_id and w.reserved_at = window_at;
    if v_source.is_full then update pawl.source s set is_full = false where s.id = v_source.id; end if;
  else
    after := v_source.requested;
    attempt := 0;
    insert into pawl.source_window (source_id, state, after_cursor, epoch, holder)
    values (v_source.id, 'reserved', after, p_epoch, p_holder)
    returning id, reserved_at into window_id, window_at;
    update pawl.source s set window_id = reserve_window_v1.window_id, window_at = reserve_window_v1.window_at, is_full = false
     where s.id = v_source.id;
  end if;
  outcome := 'reserved';
  select greatest(extract(epoch from l.next_slot - pawl.now()) * 1000, 0) into wait_ms
    from pawl.lease l where l.name = 'source:' || p_name;
  return next;
end $$;

-- The commit of this is the start of the request. False: it was turned off, paused or taken away meanwhile.
create function pawl.mark_sent_v1(p_name text, p_epoch bigint, p_window bigint, p_gap interval) returns boolean
language plpgsql volatile as $$
declare
  v_source pawl.source;
begin
  perform pg_advisory_xact_lock_shared(pawl.gate_lock());
  v_source := pawl.own_source(p_name, p_epoch);
  if v_source.window_id is distinct from p_window or v_source.state <> 'active' or v_source.paused_at is not null
    or pawl.is_off_all() then return false; end if;
  update pawl.source_window w set state = 'sent', sent_at = pawl.now(), answered_at = null, attempt = w.attempt + 1
   where w.id = p_window and w.reserved_at = v_source.window_at and w.state = 'reserved';
  if not found then return false; end if;
  update pawl.lease l set next_slot = greatest(l.next_slot, pawl.clock_now() + p_gap) where l.name = 'source:' || p_name;
  update pawl.source s set last_fetch_at = pawl.now() where s.id = v_source.id;
  return true;
end $$;

-- The next request starts p_gap after this answer: only now is it sure that the one before had arrived.
create function pawl.keep_gap(p_name text, p_gap interval) returns void
language sql volatile as $$
  update pawl.lease l set next_slot = greatest(l.next_slot, pawl.clock_now() + p_gap) where l.name = 'source:' || p_name
$$;

-- The page is durable: from here on this window is never requested again unless a person says so. False: a person has
-- taken the window away meanwhile.
create function pawl.keep_page_v1(p_name text, p_epoch bigint, p_window bigint, p_gap interval, p_bytes bytea,
  p_content_type text, p_info jsonb, p_retry_after_ms int) returns boolean
language plpgsql volatile as $$
declare
  v_source pawl.source := pawl.own_source(p_name, p_epoch);
begin
  if v_source.window_id is distinct from p_window then return false; end if;
  update pawl.source_window w set state = 'answered', answered_at = pawl.now()
   where w.id = p_window and w.reserved_at = v_source.window_at and w.state = 'sent';
  if not found then return false; end if;
  insert into pawl.source_page (window_id, source_id, bytes, content_type, info, retry_after_ms)
  values (p_window, v_source.id, p_bytes, p_content_type, p_info, p_retry_after_ms);
  perform pawl.keep_gap(p_name, p_gap);
  return true;
end $$;

create function pawl.fail_window_v1(p_name text, p_epoch bigint, p_window bigint, p_gap interval, p_fault text, p_error text,
  p_next_cursor text, p_retry_after_ms bigint) returns text
language plpgsql volatile as $$
declare
  v_source pawl.source := pawl.own_source(p_name, p_epoch);
begin
  if v_source.window_id is distinct from p_window then return 'gone'; end if;
  if p_fault <> 'unsent' then perform pawl.keep_gap(p_name, p_gap); end if;
  update pawl.source_window w set next_cursor = p_next_cursor
   where w.id = p_window and w.reserved_at = v_source.window_at and p_next_cursor is not null;
  return pawl.fault_of_window(v_source.id, p_window, v_source.window_at, p_fault, p_error, p_retry_after_ms);
end $$;

-- Puts events into the inbox. Answers how many were new and good, bad, or there before. p_is_again: ids may come that
-- were stored before. What lies in the inbox is looked up before it is inserted, so that a mover's lock is not waited for.
create function pawl.insert_events(p_source int, p_after text, p_events jsonb, p_is_again boolean,
  out inserted int, out bad int, out duplicates int, out last_event_at timestamptz)
language plpgsql volatile
set jit = off set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
  with given as materialized (
    select row_number() over () as place, e.* from jsonb_to_recordset(p_events) as e (i text, n text, o timestamptz, p jsonb, m jsonb, r text, e text)
  ), fresh as (
    select g.* from given g
     where not exists (select 1 from pawl.inbox b where b.source_id = p_source and b.event_id = g.i)
       and (not p_is_again
         or (not exists (select 1 from pawl.stored_event t where t.source_id = p_source and t.event_id = g.i)
           and not exists (select 1 from pawl.inbox_seen z where z.source_id = p_source and z.event_id = g.i)))
     order by g.place
  ), put as (
    insert into pawl.inbox (source_id, event_id, state, name, occurred_at, after_cursor, payload, meta, raw, error, failed_at)
    select p_source, f.i, case when f.e is null then 'ready' else 'bad' end, f.n, f.o, p_after, f.p, f.m,
           decode(f.r, 'base64'), f.e, case when f.e is not null then pawl.now() end
      from fresh f order by f.place
    on conflict (source_id, event_id) do nothing
    returning state, occurred_at
  )
  select count(*) filter (where u.state = 'ready'), count(*) filter (where u.state = 'bad'),
         (select count(*) from given) - count(*), max(u.occurred_at)
    into inserted, bad, duplicates, last_event_at from put u;
end $$;

-- The events are in the inbox, the cursor has moved and the window is done: one transaction. p_window null: a page that
-- a source delivered by itself, whose window is written with it. Answers null when a person took the window away.
create function pawl.receive_v1(p_name text, p_epoch bigint, p_holder text, p_window bigint, p_events jsonb, p_next text,
  p_memo jsonb, p_lag bigint, p_is_again boolean, p_next_ms bigint, p_is_answer boolean)
returns table (inserted int, bad int, duplicates int)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_source pawl.source := pawl.own_source(p_name, p_epoch);
  v_at timestamptz := v_source.window_at;
  v_last timestamptz;
  v_next text;
  v_moves boolean;
begin
  if p_window is not null and v_source.window_id is distinct from p_window then return; end if;
  if v_source.cursor_kind = 'number' then
    v_next := greatest(v_source.requested::numeric, p_next::numeric)::text;
  else
    v_next := coalesce(p_next, v_source.requested);
  end if;
  v_moves := v_next <> v_source.requested;
  select i.inserted, i.bad, i.duplicates, i.last_event_at into inserted, bad, duplicates, v_last
    from pawl.insert_events(v_source.id, v_source.requested, p_events, p_is_again) i;
  if p_window is null then
    insert into pawl.source_window (source_id, state, after_cursor, next_cursor, events, duplicates, bad, attempt, epoch, holder,
      sent_at, answered_at, ended_at)
    values (v_source.id, 'done', v_source.requested, v_next, inserted, duplicates, bad, 1, p_epoch, p_holder, pawl.now(), pawl.now(), pawl.now());
  else
    update pawl.source_window w
       set state = case when v_moves or inserted + bad + duplicates > 0 then 'done' else 'empty' end, next_cursor = v_next,
           events = inserted, duplicates = receive_v1.duplicates, bad = receive_v1.bad, fault = null, error = null,
           answered_at = coalesce(w.answered_at, pawl.now()), ended_at = pawl.now()
     where w.id = p_window and w.reserved_at = v_at;
    delete from pawl.source_page g where g.window_id = p_window;
    if p_is_answer then perform pawl.keep_gap(p_name, v_source.gap); end if;
  end if;
  if bad > 0 then
    update pawl.source_storage t set set_aside = t.set_aside + receive_v1.bad where t.source_id = v_source.id;
  end if;
  update pawl.source s
     set requested = v_next, received = s.received + inserted, duplicates = s.duplicates + receive_v1.duplicates,
         memo = coalesce(p_memo, s.memo), lag = p_lag, failures = 0, last_error = null,
         last_event_at = coalesce(greatest(v_last, s.last_event_at), s.last_event_at),
         last_fetch_at = case when p_window is null then pawl.now() else s.last_fetch_at end,
         next_at = pawl.now() + p_next_ms * interval '1 ms',
         window_id = case when p_window is null or v_moves or inserted + bad + receive_v1.duplicates > 0 then null else s.window_id end
   where s.id = v_source.id;
  if inserted > 0 then perform pawl.wake_v1(); end if;
  return next;
end $$;

-- A source that delivers by itself failed or ended: when it is opened again, or that it is held.
create function pawl.fail_push_v1(p_name text, p_epoch bigint, p_fault text, p_error text, p_retry_after_ms bigint) returns text
language plpgsql volatile as $$
declare
  v_source pawl.source := pawl.own_source(p_name, p_epoch);
begin
  return pawl.fault_of_window(v_source.id, null, null, p_fault, p_error, p_retry_after_ms);
end $$;
