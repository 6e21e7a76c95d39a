-- What comes in: sources with their cursors, the log of windows, pages as received, the inbox, and where events end up.
-- Lock order: the lease of a source → its row → its window; the storing side has a row of its own.

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
    low_water, ordering, has_handler, application, revision, requested, highest)
  select d.name, d.type, d.config, d.cursor, d.is_push, d.start, d.gap_ms * interval '1 ms', d.idle_ms * interval '1 ms',
         d.on_fault, d.retry, d.high_water, d.low_water, d.ordering, d.has_handler, v_application, v_revision, d.start, d.start
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

-- 0 for what is past. Infinite times cannot be subtracted before PostgreSQL 17.
create function pawl.ms_until(p_at timestamptz) returns float8
language sql stable as $$
  select case when p_at > pawl.now() then extract(epoch from p_at - pawl.now()) * 1000 else 0 end::float8
$$;

-- Sources that a loader may take up, the longest waiting first; wait_ms: not before. held by nobody now, or its lease
-- runs out then.
create function pawl.due_sources_v1(p_names text[]) returns table (name text, is_push boolean, wait_ms float8)
language sql stable as $$
  select s.name, s.is_push, pawl.ms_until(greatest(s.next_at, l.lease_until, l.next_slot))
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
  v_slot timestamptz;
begin
  outcome := 'wait';
  if v_source.window_id is not null then
    select w.* into strict v_window from pawl.source_window w where w.id = v_source.window_id and w.reserved_at = v_source.window_at;
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
    wait_ms := pawl.ms_until(v_source.next_at);
    return next;
    return;
  end if;
  v_backlog := pawl.backlog(v_source);
  if v_backlog >= v_source.high_water or (v_source.is_full and v_backlog > v_source.low_water) then
    update pawl.source s set is_full = true, next_at = pawl.now() + interval '200 ms' where s.id = v_source.id;
    reason := 'full';
    wait_ms := 200;
    return next;
    return;
  end if;
  select pawl.ms_until(l.next_slot), l.next_slot into wait_ms, v_slot from pawl.lease l where l.name = 'source:' || p_name;
  if wait_ms > 1000 then
    -- for so long neither the lease nor a loader's place is held, and what is turned off does not look as if it ran
    update pawl.source s set is_full = false, next_at = v_slot where s.id = v_source.id;
    reason := 'not_due';
    return next;
    return;
  end if;
  if v_window.state in ('reserved', 'empty', 'failed') then
    update pawl.source_window w set state = 'reserved', epoch = p_epoch, holder = p_holder, ended_at = null, next_cursor = null
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
-- came before. What lies in the inbox is then looked up before it is inserted, so that a mover's lock is not waited for.
create function pawl.insert_events(p_source int, p_after text, p_events jsonb, p_is_again boolean,
  out inserted int, out bad int, out duplicates int, out last_event_at timestamptz)
language plpgsql volatile
set jit = off set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_ids text[];
  v_known text[] := '{}';
begin
  -- arrays, so that each is one probe of an index whatever the planner thinks of an empty table
  if p_is_again then
    v_ids := array(select e.value ->> 'i' from jsonb_array_elements(p_events) e);
    v_known := array(select b.event_id from pawl.inbox b where b.source_id = p_source and b.event_id = any (v_ids))
      || array(select t.event_id from pawl.stored_event t where t.source_id = p_source and t.event_id = any (v_ids))
      || array(select z.event_id from pawl.inbox_seen z where z.source_id = p_source and z.event_id = any (v_ids));
  end if;
  with put as (
    insert into pawl.inbox (source_id, event_id, state, name, occurred_at, after_cursor, payload, meta, raw, is_event, error, failed_at)
    -- JSON's null is a payload too; bytes that were set aside have none
    select p_source, e.i, case when e.e is null then 'ready' else 'bad' end, e.n, e.o, p_after,
           case when e.e is null then coalesce(e.p, 'null') end, e.m,
           decode(e.r, 'base64'), e.d, e.e, case when e.e is not null then pawl.now() end
      from jsonb_to_recordset(p_events) as e (i text, n text, o timestamptz, p jsonb, m jsonb, r text, d boolean, e text)
     where cardinality(v_known) = 0 or e.i <> all (v_known)
    on conflict (source_id, event_id) do nothing
    returning state, occurred_at
  )
  select count(*) filter (where u.state = 'ready'), count(*) filter (where u.state = 'bad'),
         jsonb_array_length(p_events) - count(*), max(u.occurred_at)
    into inserted, bad, duplicates, last_event_at from put u;
end $$;

-- The events are in the inbox, the cursor has moved and the window is done: one transaction. p_window null: a page that
-- a source delivered by itself behind p_after, whose window is written with it. No row: a person took the window away,
-- moved the cursor, or stopped the source.
create function pawl.receive_v1(p_name text, p_epoch bigint, p_holder text, p_window bigint, p_after text, p_events jsonb, p_next text,
  p_memo jsonb, p_lag bigint, p_next_ms bigint, p_is_answer boolean)
returns table (inserted int, bad int, duplicates int)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_source pawl.source := pawl.own_source(p_name, p_epoch);
  v_at timestamptz := v_source.window_at;
  v_last timestamptz;
  v_next text;
  v_highest text;
  v_is_done boolean;
begin
  if p_window is not null and v_source.window_id is distinct from p_window then return; end if;
  if p_window is null and (v_source.requested <> p_after or v_source.state <> 'active' or v_source.paused_at is not null
    or pawl.is_off_all()) then return; end if;
  if v_source.cursor_kind = 'number' then
    v_next := greatest(v_source.requested::numeric, p_next::numeric)::text;
    v_highest := greatest(v_source.highest::numeric, v_next::numeric)::text;
  else
    v_next := coalesce(p_next, v_source.requested);
    v_highest := v_next;
  end if;
  select i.inserted, i.bad, i.duplicates, i.last_event_at into inserted, bad, duplicates, v_last
    from pawl.insert_events(v_source.id, v_source.requested, p_events,
      v_source.cursor_kind = 'opaque' or v_source.requested <> v_source.highest) i;
  v_is_done := p_window is null or v_next <> v_source.requested or jsonb_array_length(p_events) > 0;
  if p_window is null then
    insert into pawl.source_window (source_id, state, after_cursor, next_cursor, events, duplicates, bad, attempt, epoch, holder,
      sent_at, answered_at, ended_at)
    values (v_source.id, 'done', v_source.requested, v_next, inserted, duplicates, bad, 1, p_epoch, p_holder, pawl.now(), pawl.now(), pawl.now());
  else
    update pawl.source_window w
       set state = case when v_is_done then 'done' else 'empty' end, next_cursor = v_next,
           events = receive_v1.inserted, duplicates = receive_v1.duplicates, bad = receive_v1.bad, fault = null, error = null,
           answered_at = coalesce(w.answered_at, pawl.now()), ended_at = pawl.now()
     where w.id = p_window and w.reserved_at = v_at;
    delete from pawl.source_page g where g.window_id = p_window;
    if p_is_answer then perform pawl.keep_gap(p_name, v_source.gap); end if;
  end if;
  if bad > 0 then
    update pawl.source_storage t set set_aside = t.set_aside + receive_v1.bad where t.source_id = v_source.id;
  end if;
  update pawl.source s
     set requested = v_next,
         highest = v_highest,
         received = s.received + inserted, duplicates = s.duplicates + receive_v1.duplicates,
         memo = coalesce(p_memo, s.memo), lag = p_lag, failures = 0, last_error = null,
         last_event_at = coalesce(greatest(v_last, s.last_event_at), s.last_event_at),
         last_fetch_at = case when p_window is null then pawl.now() else s.last_fetch_at end,
         next_at = pawl.now() + p_next_ms * interval '1 ms',
         window_id = case when not v_is_done then s.window_id end
   where s.id = v_source.id;
  if inserted > 0 then
    perform pawl.wake_v1();
  elsif v_is_done then
    update pawl.source_storage t set stored = v_next where t.source_id = v_source.id and t.taken = v_source.received;
  end if;
  return next;
end $$;

-- Where a source that delivers by itself goes on. room: the inbox takes more of it now. No row: it is not to run.
create function pawl.push_cursor_v1(p_name text, p_epoch bigint) returns table (after text, room boolean)
language plpgsql volatile as $$
declare
  v_source pawl.source := pawl.own_source(p_name, p_epoch);
  v_backlog bigint := pawl.backlog(v_source);
begin
  if v_source.state <> 'active' or v_source.paused_at is not null or pawl.is_off_all() then return; end if;
  after := v_source.requested;
  room := not (v_backlog >= v_source.high_water or (v_source.is_full and v_backlog > v_source.low_water));
  if room = v_source.is_full then update pawl.source s set is_full = not room where s.id = v_source.id; end if;
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

-- Sources with events that wait to be stored.
create function pawl.sources_to_store_v1(p_names text[]) returns table (id int, name text, raw boolean)
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
  select s.id, s.name, r.there
    from pawl.source s join pawl.source_storage t on t.source_id = s.id
    cross join lateral (select exists (select 1 from pawl.inbox b
      where b.source_id = s.id and b.state <> 'ready' and b.state = 'raw' limit 1) as there) r
   where s.name = any (p_names) and t.next_at <= pawl.now() and not pawl.is_off_all()
     and (r.there or exists (select 1 from pawl.inbox b where b.source_id = s.id and b.state = 'ready' and b.number >= t.floor
       and (b.next_at is null or b.next_at <= pawl.now())))
   order by t.last_stored_at nulls first, s.id
$$;

-- The next events of a source to store, held until the transaction's end. In order: by one mover at a time, and nothing
-- beyond an event that waits for another try. Empty when somebody else is at it, or everything was turned off.
create function pawl.take_events(p_source int, p_limit int) returns bigint[]
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan as $$
declare
  v_floor bigint;
  v_is_ordered boolean;
  v_numbers bigint[];
  v_stop bigint;
begin
  perform pawl.require_read_committed();
  if not pawl.begin_batch() then return '{}'; end if;
  select s.ordering = 'source' into v_is_ordered from pawl.source s where s.id = p_source;
  if v_is_ordered and not pg_try_advisory_xact_lock(hashtextextended('pawl.inbox', p_source)) then return '{}'; end if;
  select t.floor into v_floor from pawl.source_storage t where t.source_id = p_source;
  if v_is_ordered then
    select b.number into v_stop from pawl.inbox b
     where b.source_id = p_source and b.state = 'ready' and b.number >= v_floor and b.next_at > pawl.now()
     order by b.number limit 1;
  end if;
  select array_agg(x.number order by x.number) into v_numbers from (
    select b.number from pawl.inbox b
     where b.source_id = p_source and b.state = 'ready' and b.number >= v_floor and b.number < coalesce(v_stop, 9223372036854775807)
       and (b.next_at is null or b.next_at <= pawl.now())
     order by b.number limit p_limit for update skip locked) x;
  return coalesce(v_numbers, '{}');
end $$;

-- After events have left: the floor and the stored cursor. The row is locked first, so that the look that follows sees
-- what other movers have committed.
create function pawl.note_stored(p_source int, p_last bigint, p_taken int, p_stored int, p_duplicates int, p_set_aside int) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_storage pawl.source_storage;
begin
  select t.* into v_storage from pawl.source_storage t where t.source_id = p_source for no key update;
  update pawl.source_storage t
     set floor = greatest(t.floor, coalesce(l.number, p_last + 1)), taken = t.taken + p_taken,
         stored_count = t.stored_count + p_stored, duplicates = t.duplicates + p_duplicates,
         set_aside = t.set_aside + p_set_aside, last_stored_at = case when p_stored > 0 then pawl.now() else t.last_stored_at end,
         failures = case when p_taken > 0 then 0 else t.failures end, error = case when p_taken > 0 then null else t.error end,
         stored = case
           when s.cursor_kind = 'opaque' then coalesce(l.after_cursor, s.requested)
           else greatest(t.stored::numeric, coalesce(l.event_id::numeric - 1, s.requested::numeric))::text end
    from pawl.source s left join lateral (
      select b.number, b.event_id, b.after_cursor from pawl.inbox b
       where b.source_id = s.id and b.state = 'ready' and b.number >= v_storage.floor order by b.number limit 1) l on true
   where t.source_id = p_source and s.id = p_source;
end $$;

-- One batch from the inbox to the table stored_event.
create function pawl.store_events_v1(p_source int, p_limit int) returns table (taken int, stored int)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_numbers bigint[] := pawl.take_events(p_source, p_limit);
begin
  taken := cardinality(v_numbers);
  stored := 0;
  if taken = 0 then return next; return; end if;
  with gone as (
    delete from pawl.inbox b where b.number = any (v_numbers)
    returning b.source_id, b.event_id, b.number, b.name, b.occurred_at, b.received_at, b.payload, b.meta
  ), put as (
    insert into pawl.stored_event (source_id, event_id, number, name, occurred_at, received_at, payload, meta)
    select g.source_id, g.event_id, g.number, g.name, g.occurred_at, g.received_at, g.payload, g.meta from gone g
    on conflict do nothing returning 1
  )
  select count(*) into stored from put;
  perform pawl.note_stored(p_source, v_numbers[taken], taken, stored, taken - stored, 0);
  return next;
end $$;

-- One batch for a handler of the app; is_seen: it was stored before, and is only to be dropped.
create function pawl.claim_events_v1(p_source int, p_limit int)
returns table (number bigint, event_id text, name text, occurred_at text, received_at text, payload jsonb, meta jsonb,
  attempts int, is_seen boolean)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  v_numbers bigint[] := pawl.take_events(p_source, p_limit);
begin
  return query
  select b.number, b.event_id, b.name, to_char(b.occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
         to_char(b.received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), b.payload, b.meta, b.attempts,
         exists (select 1 from pawl.inbox_seen z where z.source_id = p_source and z.event_id = b.event_id)
    from pawl.inbox b where b.number = any (v_numbers) order by b.number;
end $$;

-- What became of that batch, in the same transaction. p_failed: [{"number", "error", "delay_ms"}]; without a delay the
-- event is set aside.
create function pawl.settle_events_v1(p_source int, p_stored bigint[], p_seen bigint[], p_failed jsonb) returns void
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_aside int;
  v_last bigint;
begin
  with gone as (
    delete from pawl.inbox b where b.number = any (p_stored) returning b.source_id, b.event_id
  )
  insert into pawl.inbox_seen (source_id, event_id) select g.source_id, g.event_id from gone g order by g.event_id
  on conflict do nothing;
  delete from pawl.inbox b where b.number = any (p_seen);
  with failed as (
    select f.number, f.error, f.delay_ms from jsonb_to_recordset(p_failed) as f (number bigint, error text, delay_ms bigint)
  ), kept as (
    update pawl.inbox b
       set attempts = b.attempts + 1, error = left(f.error, 2000), failed_at = pawl.now(),
           state = case when f.delay_ms is null then 'bad' else 'ready' end,
           next_at = pawl.now() + f.delay_ms * interval '1 ms'
      from failed f where b.number = f.number returning b.state
  )
  select count(*) filter (where k.state = 'bad') into v_aside from kept k;
  select max(n) into v_last from unnest(p_stored || p_seen) n;
  perform pawl.note_stored(p_source, coalesce(v_last, -1), cardinality(p_stored) + cardinality(p_seen) + v_aside,
    cardinality(p_stored), cardinality(p_seen), v_aside);
end $$;

-- Storing as such fails, not one event: it is tried again later, nothing is set aside.
create function pawl.note_storing_failed_v1(p_source int, p_error text, p_delay interval) returns void
language sql volatile as $$
  update pawl.source_storage t set failures = t.failures + 1, error = left(p_error, 2000), next_at = pawl.now() + p_delay
   where t.source_id = p_source
$$;

-- Events that were set aside wait to be stored again, each with a new number; what could not be decoded is decoded again
-- first. Nothing may get a number between a loader's numbers and their commit: the source's row is locked.
create function pawl.retry_inbox_v1(p_numbers bigint[], p_by text, p_why text) returns table (number bigint)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_source record;
begin
  perform pawl.require_read_committed();
  for v_source in
    select s.id, s.name, s.requested from pawl.source s
     where s.id in (select b.source_id from pawl.inbox b where b.number = any (p_numbers) and b.state = 'bad')
     order by s.id for no key update
  loop
    perform 1 from pawl.source_storage t where t.source_id = v_source.id for no key update;
    return query
    with mine as (
      select b.number, b.payload is null as is_raw from pawl.inbox b
       where b.number = any (p_numbers) and b.source_id = v_source.id and b.state = 'bad' order by b.number for update
    ), raised as (
      update pawl.inbox b set state = 'raw', attempts = 0, next_at = null from mine m where b.number = m.number and m.is_raw
    )
    select m.number from mine m;
    perform pawl.raise_events(v_source.id, array(select b.number from pawl.inbox b
      where b.number = any (p_numbers) and b.source_id = v_source.id and b.state = 'bad' order by b.number), null);
    perform pawl.audit_v1(p_by, 'inbox retry', 'source:' || v_source.name, p_why,
      jsonb_build_object('numbers', to_jsonb(p_numbers)));
  end loop;
  perform pawl.wake_v1();
end $$;

-- The rows of the source and of its storing side are locked by the caller.
create function pawl.raise_events(p_source int, p_numbers bigint[], p_decoded jsonb) returns int
language plpgsql volatile as $$
declare
  v_count int;
begin
  update pawl.inbox b
     set number = default, state = 'ready', attempts = 0, next_at = null, error = null, failed_at = null, after_cursor = s.requested,
         payload = coalesce(d.p, b.payload, 'null'), name = coalesce(d.n, b.name), occurred_at = coalesce(d.o, b.occurred_at),
         meta = coalesce(d.m, b.meta)
    from pawl.source s, unnest(p_numbers) u (number)
    left join jsonb_to_recordset(coalesce(p_decoded, '[]')) as d (number bigint, n text, o timestamptz, p jsonb, m jsonb)
      on d.number = u.number
   where b.number = u.number and s.id = p_source and b.source_id = p_source;
  get diagnostics v_count = row_count;
  update pawl.source_storage t set taken = t.taken - v_count, set_aside = t.set_aside - v_count where t.source_id = p_source;
  return v_count;
end $$;

create function pawl.raw_events_v1(p_source int, p_limit int) returns table (number bigint, event_id text, raw bytea, is_event boolean)
language sql volatile as $$
  select b.number, b.event_id, coalesce(b.raw, ''), coalesce(b.is_event, false) from pawl.inbox b
   where b.source_id = p_source and b.state <> 'ready' and b.state = 'raw' and not pawl.is_off_all() order by b.number limit p_limit
$$;

-- p_decoded: [{"number", "n", "o", "p", "m"}]; p_failed: [{"number", "error"}].
create function pawl.settle_raw_v1(p_source int, p_decoded jsonb, p_failed jsonb) returns int
language plpgsql volatile as $$
begin
  perform 1 from pawl.source s where s.id = p_source for no key update;
  perform 1 from pawl.source_storage t where t.source_id = p_source for no key update;
  update pawl.inbox b set state = 'bad', attempts = b.attempts + 1, error = left(f.error, 2000), failed_at = pawl.now()
    from jsonb_to_recordset(p_failed) as f (number bigint, error text) where b.number = f.number and b.state = 'raw';
  return pawl.raise_events(p_source, array(select b.number from pawl.inbox b
    join jsonb_to_recordset(p_decoded) as d (number bigint) on d.number = b.number
   where b.state = 'raw' order by b.number for update of b), p_decoded);
end $$;

-- Gives set-aside events up.
create function pawl.remove_inbox_v1(p_numbers bigint[], p_by text, p_why text) returns table (number bigint)
language plpgsql volatile as $$
#variable_conflict use_column
begin
  -- in the order of who retries them
  perform 1 from pawl.source_storage t
   where t.source_id in (select b.source_id from pawl.inbox b where b.number = any (p_numbers)) order by t.source_id for no key update;
  return query
  with gone as (
    delete from pawl.inbox b where b.number = any (p_numbers) and b.state in ('bad', 'raw') returning b.number, b.source_id, b.event_id
  ), counted as (
    update pawl.source_storage t set set_aside = t.set_aside - c.count
      from (select g.source_id, count(*) as count from gone g group by g.source_id) c where t.source_id = c.source_id
  ), told as (
    select pawl.audit_v1(p_by, 'inbox remove', 'source:' || s.name, p_why,
             jsonb_build_object('numbers', jsonb_agg(g.number), 'ids', jsonb_agg(g.event_id)))
      from gone g join pawl.source s on s.id = g.source_id group by s.name
  )
  select g.number from gone g, (select count(*) from told) t;
end $$;

-- What a person does to a source. p_verb: pause | resume | retry | release | skip | rewind.
-- retry: a page that is kept is parsed again, unless p_fetch; else the window is requested again. release: the window
-- is given up and a new one reserved. skip: goes on behind it, from p_to or the cursor that its page named. rewind: goes
-- back to p_to. outcome: done | unknown | not_held | in_progress | no_target | not_forward | not_back.
create function pawl.act_on_source_v1(p_name text, p_verb text, p_to text, p_fetch boolean, p_by text, p_why text)
returns table (outcome text, from_cursor text, to_cursor text, window_id bigint)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_source pawl.source;
  v_window pawl.source_window;
  v_has_page boolean;
  v_highest text;
begin
  perform pawl.require_read_committed();
  select s.* into v_source from pawl.source s where s.name = p_name for no key update;
  if not found then outcome := 'unknown'; return next; return; end if;
  select w.* into v_window from pawl.source_window w where w.id = v_source.window_id and w.reserved_at = v_source.window_at;
  from_cursor := v_source.requested;
  to_cursor := v_source.requested;
  window_id := v_window.id;
  outcome := 'done';
  if p_verb = 'pause' then
    update pawl.source s set paused_at = coalesce(s.paused_at, pawl.now()), paused_by = coalesce(nullif(p_by, ''), current_user),
           paused_why = nullif(p_why, '') where s.id = v_source.id;
  elsif p_verb = 'resume' then
    update pawl.source s set paused_at = null, paused_by = null, paused_why = null where s.id = v_source.id;
  else
    if p_verb <> 'rewind' and v_source.state <> 'held' and v_source.failures = 0 then
      outcome := case when v_window.state in ('sent', 'reserved', 'answered') then 'in_progress' else 'not_held' end;
      return next;
      return;
    end if;
    if p_verb <> 'rewind' and v_source.state <> 'held' and v_window.state in ('sent', 'answered') then
      outcome := 'in_progress'; return next; return;
    end if;
    if p_verb = 'skip' then
      to_cursor := coalesce(p_to, v_window.next_cursor);
      if to_cursor is null then outcome := 'no_target'; return next; return; end if;
      if v_source.cursor_kind = 'number' and to_cursor::numeric <= from_cursor::numeric then outcome := 'not_forward'; return next; return; end if;
    elsif p_verb = 'rewind' then
      to_cursor := p_to;
      if v_source.cursor_kind = 'number' and to_cursor::numeric >= from_cursor::numeric then outcome := 'not_back'; return next; return; end if;
    end if;
    v_highest := to_cursor;
    if v_source.cursor_kind = 'number' then
      v_highest := greatest(v_source.highest::numeric, to_cursor::numeric)::text;
    end if;
    select exists (select 1 from pawl.source_page g where g.window_id = v_window.id) into v_has_page;
    if p_verb = 'retry' then
      update pawl.source_window w set state = case when v_has_page and not p_fetch then 'answered' else 'failed' end, ended_at = null
       where w.id = v_window.id and w.reserved_at = v_window.reserved_at;
    else
      update pawl.source_window w set state = case p_verb when 'skip' then 'skipped' else 'released' end, ended_at = pawl.now()
       where w.id = v_window.id and w.reserved_at = v_window.reserved_at;
    end if;
    if p_verb <> 'retry' or p_fetch then delete from pawl.source_page g where g.window_id = v_window.id; end if;
    update pawl.source s
       set state = 'active', held_fault = null, held_error = null, held_at = null, failures = 0, next_at = pawl.now(),
           requested = to_cursor, window_id = case when p_verb = 'retry' then s.window_id end,
           highest = v_highest,
           memo = case when p_verb = 'rewind' then null else s.memo end
     where s.id = v_source.id;
    if p_verb = 'rewind' then
      update pawl.source_storage t set stored = to_cursor where t.source_id = v_source.id;
    end if;
  end if;
  perform pawl.audit_v1(p_by, 'source ' || p_verb, 'source:' || p_name, p_why, jsonb_strip_nulls(jsonb_build_object(
    'from', from_cursor, 'to', nullif(to_cursor, from_cursor), 'window', v_window.id, 'error', v_source.held_error)));
  perform pawl.wake_v1();
  return next;
end $$;

-- Sources as an operator sees them. per_minute: events of the windows that ended in the last minute.
create function pawl.sources_v1(p_name text) returns table (name text, type text, application text, status text,
  cursor_kind text, is_push boolean, requested text, stored text, backlog bigint, set_aside bigint, received bigint, stored_count bigint,
  duplicates bigint, lag bigint, per_minute bigint, high_water bigint, low_water bigint, failures int, error text, held_fault text,
  held_at timestamptz, paused_at timestamptz, paused_by text, paused_why text, next_at timestamptz, last_fetch_at timestamptz,
  last_event_at timestamptz, last_stored_at timestamptz, storing_failures int, storing_error text, storing_next_at timestamptz,
  window_id bigint, window_state text, has_page boolean, loader text, config jsonb)
language sql stable as $$
  select s.name, s.type, s.application,
         case when s.state = 'held' then 'held' when s.paused_at is not null then 'paused' when pawl.is_off_all() then 'off'
              when s.failures > 0 then 'retrying' when s.is_full then 'full'
              when l.lease_until > pawl.now() then 'loading' else 'waiting' end,
         s.cursor_kind, s.is_push, s.requested, t.stored, s.received - t.taken, t.set_aside, s.received, t.stored_count,
         s.duplicates + t.duplicates, s.lag,
         (select coalesce(sum(m.events), 0)::bigint from (select w.events, w.ended_at from pawl.source_window w
            where w.source_id = s.id order by w.id desc limit 5000) m where m.ended_at > pawl.now() - interval '1 minute'),
         s.high_water, s.low_water, s.failures, coalesce(s.held_error, s.last_error), s.held_fault, s.held_at, s.paused_at, s.paused_by,
         s.paused_why, nullif(s.next_at, '-infinity'), s.last_fetch_at, s.last_event_at, t.last_stored_at, t.failures, t.error,
         nullif(t.next_at, '-infinity'), w.id, w.state, exists (select 1 from pawl.source_page g where g.window_id = w.id),
         case when l.lease_until > pawl.now() then l.owner end, s.config
    from pawl.source s
    join pawl.source_storage t on t.source_id = s.id
    left join pawl.lease l on l.name = 'source:' || s.name
    left join pawl.source_window w on w.id = s.window_id and w.reserved_at = s.window_at
   where p_name is null or s.name = p_name
   order by s.name
$$;

-- Something of these sources is still to be fetched or stored, as far as is known: p_since is when the caller began.
create function pawl.has_inbox_work_v1(p_load text[], p_store text[], p_since timestamptz) returns boolean
language sql stable as $$
  select not pawl.is_off_all() and (exists (
    select 1 from pawl.source s left join pawl.source_window w on w.id = s.window_id and w.reserved_at = s.window_at
     where s.name = any (p_load) and s.state = 'active' and s.paused_at is null and not s.is_push
       and (w.state is distinct from 'empty' or s.last_fetch_at is null or s.last_fetch_at < p_since)
       and (s.failures = 0 or s.next_at < pawl.now() + interval '1 second'))
  or exists (
    select 1 from pawl.source s join pawl.source_storage t on t.source_id = s.id
     where s.name = any (p_store) and t.failures = 0 and s.received > t.taken
       and exists (select 1 from pawl.inbox b where b.source_id = s.id and b.state = 'ready' and b.number >= t.floor
         and (b.next_at is null or b.next_at < pawl.now() + interval '1 second'))))
$$;

create function pawl.source_windows_v1(p_source text, p_state text, p_limit int) returns table (id bigint, source text, state text,
  after_cursor text, next_cursor text, attempt int, fault text, error text, events int, duplicates int, bad int, holder text,
  reserved_at timestamptz, sent_at timestamptz, answered_at timestamptz, ended_at timestamptz)
language sql stable as $$
  select w.id, s.name, w.state, w.after_cursor, w.next_cursor, w.attempt, w.fault, w.error, w.events, w.duplicates, w.bad, w.holder,
         w.reserved_at, w.sent_at, w.answered_at, w.ended_at
    from pawl.source s cross join lateral (select * from pawl.source_window x
      where x.source_id = s.id and (p_state is null or x.state = p_state) order by x.id desc limit p_limit) w
   where p_source is null or s.name = p_source
   order by w.id desc limit p_limit
$$;

-- Partitions of the log of windows and of its archive, by month, from this one to p_months ahead; as those of history.
create function pawl.make_window_partitions_v1(p_months int) returns text[]
language plpgsql volatile
set lock_timeout = '2s' as $$
declare
  v_parent text;
  v_name text;
  v_from timestamptz;
  v_to timestamptz;
  v_made text[] := '{}';
begin
  if not pg_try_advisory_xact_lock(hashtextextended('pawl.make_window_partitions', 0)) then return v_made; end if;
  foreach v_parent in array array['source_window', 'source_window_archive'] loop
    for v_month in 0..p_months loop
      v_from := (date_trunc('month', pawl.now() at time zone 'UTC') + v_month * interval '1 month') at time zone 'UTC';
      v_to := (date_trunc('month', pawl.now() at time zone 'UTC') + (v_month + 1) * interval '1 month') at time zone 'UTC';
      v_name := v_parent || '_' || to_char(v_from at time zone 'UTC', 'YYYYMM');
      continue when to_regclass('pawl.' || v_name) is not null;
      if v_month <= 1 then execute format('lock table only pawl.%I in access exclusive mode', v_parent); end if;
      execute format('create table pawl.%I (like pawl.%I including defaults including constraints)', v_name, v_parent);
      execute format('with moved as (delete from pawl.%I d where d.reserved_at >= %L and d.reserved_at < %L returning d.*) insert into pawl.%I select * from moved',
        v_parent || '_default', v_from, v_to, v_name);
      execute format('alter table pawl.%I attach partition pawl.%I for values from (%L) to (%L)', v_parent, v_name, v_from, v_to);
      v_made := v_made || v_name;
    end loop;
  end loop;
  return v_made;
end $$;

-- Windows past their time: those that ended well (done, empty) after p_done, the others after p_failed; never a source's
-- current one. Archiving copies in the statement that deletes.
create function pawl.prune_windows_v1(p_done interval, p_failed interval, p_archive boolean, p_is_dry boolean, p_limit int) returns int
language plpgsql volatile
set jit = off as $$
declare
  v_ids bigint[];
  v_copied int;
  v_gone int;
begin
  select array_agg(x.id) into v_ids from (
    select w.id from pawl.source_window w
     where w.ended_at < pawl.now() - case when w.state in ('done', 'empty') then p_done else p_failed end
       and not exists (select 1 from pawl.source s where s.window_id = w.id)
     limit case when p_is_dry then null else p_limit end) x;
  if p_is_dry or v_ids is null then return coalesce(cardinality(v_ids), 0); end if;
  with gone as (
    delete from pawl.source_window w where w.id = any (v_ids) returning w.*
  ), kept as (
    insert into pawl.source_window_archive select g.*, pawl.now() from gone g where p_archive returning 1
  )
  select (select count(*) from gone), (select count(*) from kept) into v_gone, v_copied;
  if p_archive and v_copied <> v_gone then
    raise exception 'archiving windows: % of % were copied', v_copied, v_gone using errcode = 'PW010', hint = 'nothing was deleted';
  end if;
  return v_gone;
end $$;

-- A past month of the log that has no rows any more is dropped; it gives up after 2 s behind a long query.
create function pawl.drop_empty_windows_v1() returns text[]
language plpgsql volatile
set lock_timeout = '2s' as $$
declare
  v_name text;
  v_there boolean;
  v_dropped text[] := '{}';
begin
  for v_name in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = to_regclass('pawl.source_window') and c.relname ~ '^source_window_\d{6}$'
       and substring(c.relname from '\d{6}$') < to_char(pawl.now() at time zone 'UTC', 'YYYYMM')
     order by 1
  loop
    execute format('select exists (select 1 from pawl.%I)', v_name) into v_there;
    continue when v_there;
    -- in the order of who writes: the other way round the two would wait for each other
    execute format('lock table only pawl.source_window, pawl.%I in access exclusive mode', v_name);
    execute format('select exists (select 1 from pawl.%I)', v_name) into v_there;
    continue when v_there;
    execute format('drop table pawl.%I', v_name);
    v_dropped := v_dropped || v_name;
  end loop;
  return v_dropped;
end $$;

create function pawl.prune_seen_v1(p_before interval, p_is_dry boolean, p_limit int) returns int
language plpgsql volatile as $$
declare
  v_count int;
begin
  if p_is_dry then
    select count(*) into v_count from pawl.inbox_seen z where z.seen_at < pawl.now() - p_before;
  else
    delete from pawl.inbox_seen z using (
      select y.source_id, y.event_id from pawl.inbox_seen y where y.seen_at < pawl.now() - p_before limit p_limit) o
     where z.source_id = o.source_id and z.event_id = o.event_id;
    get diagnostics v_count = row_count;
  end if;
  return v_count;
end $$;
