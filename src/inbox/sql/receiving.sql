-- Puts what a source answered, or delivered by itself, into the inbox.

-- Puts events into the inbox. Returns how many were new and good, bad, or known before. p_is_again: ids may have come
-- before. They are then looked up in the inbox before the insert, so that it does not wait for a mover's lock.
create or replace function pawl.insert_events(p_source int, p_after text, p_events jsonb, p_is_again boolean,
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
create or replace function pawl.receive_v1(p_name text, p_epoch bigint, p_holder text, p_window bigint, p_after text, p_events jsonb, p_next text,
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
  if p_window is null then
    perform pg_advisory_xact_lock_shared(pawl.gate_lock()); -- no batch of it is stored once `off` has returned
    if v_source.requested <> p_after or v_source.state <> 'active' or pawl.is_source_off(p_name) then return; end if;
  end if;
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
    -- locked first: a batch that is being stored may not have recorded yet that it took the last event
    perform from pawl.source_storage t where t.source_id = v_source.id for no key update;
    update pawl.source_storage t set stored = v_next where t.source_id = v_source.id and t.taken = v_source.received;
  end if;
  return next;
end $$;

-- Returns the cursor at which a source that delivers by itself goes on. room: the inbox has room for more. No row: it must not run.
create or replace function pawl.push_cursor_v1(p_name text, p_epoch bigint) returns table (after text, room boolean)
language plpgsql volatile as $$
declare
  v_source pawl.source := pawl.own_source(p_name, p_epoch);
  v_backlog bigint := pawl.backlog(v_source);
begin
  if v_source.state <> 'active' or pawl.is_source_off(p_name) then return; end if;
  after := v_source.requested;
  room := not (v_backlog >= v_source.high_water or (v_source.is_full and v_backlog > v_source.low_water));
  if room = v_source.is_full then update pawl.source s set is_full = not room where s.id = v_source.id; end if;
  return next;
end $$;

-- Records that a source that delivers by itself failed or ended: when it is opened again, or that it is held.
create or replace function pawl.fail_push_v1(p_name text, p_epoch bigint, p_fault text, p_error text, p_retry_after_ms bigint) returns text
language plpgsql volatile as $$
declare
  v_source pawl.source := pawl.own_source(p_name, p_epoch);
begin
  return pawl.fault_of_window(v_source.id, null, null, p_fault, p_error, p_retry_after_ms);
end $$;
