-- The steps of a window. Lock order: the lease of a source → its row → its window; the storing side has a row of its own.

-- 0 for a time in the past. Infinite times cannot be subtracted before PostgreSQL 17.
create or replace function pawl.ms_until(p_at timestamptz) returns float8
language sql stable return case when p_at > pawl.now() then extract(epoch from p_at - pawl.now()) * 1000 else 0 end::float8;

-- Sources that a loader may load, the longest waiting first; wait_ms: not before this time. No loader has it now, or its lease has
-- run out by then.
create or replace function pawl.due_sources_v1(p_names text[]) returns table (name text, is_push boolean, wait_ms float8)
language sql stable as $$
  select s.name, s.is_push, pawl.ms_until(greatest(s.next_at, l.lease_until, l.next_slot))
    from pawl.source s left join pawl.lease l on l.name = 'source:' || s.name
   where s.name = any (p_names) and s.state = 'active' and not pawl.is_source_off(s.name)
   order by 3, s.last_fetch_at nulls first, s.name
$$;

create or replace function pawl.backlog(p_source pawl.source) returns bigint
language sql stable as $$
  select (p_source).received - t.taken from pawl.source_storage t where t.source_id = (p_source).id
$$;

-- Returns what follows a fault: the definition's action for its kind; `busy` is an answer with an error that passes by itself.
-- It is retry or hold. The caller has locked the source's row.
create or replace function pawl.fault_of_window(p_source int, p_window bigint, p_at timestamptz, p_fault text, p_error text,
  p_retry_after_ms bigint) returns text
language plpgsql volatile as $$
declare
  v_source pawl.source;
  v_action text;
  v_delay interval;
begin
  select s.* into v_source from pawl.source s where s.id = p_source;
  v_action := coalesce(v_source.on_fault ->> p_fault, 'hold');
  if p_fault = 'busy' then p_fault := 'answered'; end if;
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

create or replace function pawl.announce_source_v1(p_source int, p_verb text) returns void
language plpgsql volatile as $$
begin
  if not pawl.is_wanted('pawl' || '.source.' || p_verb) then return; end if;
  insert into pawl.event (name, aggregate_type, aggregate_id, payload)
  select 'pawl' || '.source.' || p_verb, 'source', s.name,
         jsonb_build_object('source', s.name, 'fault', s.held_fault, 'error', s.held_error, 'cursor', s.requested)
    from pawl.source s where s.id = p_source;
end $$;

-- The fence of everything that a loader writes: the lease, then the source's row, then the window if it is still the current one.
create or replace function pawl.own_source(p_name text, p_epoch bigint) returns pawl.source
language plpgsql volatile as $$
declare
  v_source pawl.source;
begin
  perform pawl.require_read_committed();
  perform pawl.hold_lease_v1('source:' || p_name, p_epoch);
  select s.* into v_source from pawl.source s where s.name = p_name for no key update;
  return v_source;
end $$;

-- Takes the current window or reserves the next. outcome: reserved (send it after wait_ms) | answered (parse the page
-- that is kept) | wait (look again after wait_ms; null: when a person has acted) with its reason:
-- held | paused | off | full | not_due.
-- What a lost loader left: reserved was not sent; sent is an unknown outcome; answered has its page.
create or replace function pawl.reserve_window_v1(p_name text, p_epoch bigint, p_holder text)
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
  if pawl.is_off('source', p_name) then reason := 'paused'; return next; return; end if;
  if pawl.is_source_off(p_name) then reason := 'off'; return next; return; end if;
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
    -- during the wait no loader keeps the lease or a place for it, and a source that is off does not look as if it ran
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
create or replace function pawl.mark_sent_v1(p_name text, p_epoch bigint, p_window bigint, p_gap interval) returns boolean
language plpgsql volatile as $$
declare
  v_source pawl.source;
begin
  perform pg_advisory_xact_lock_shared(pawl.gate_lock());
  v_source := pawl.own_source(p_name, p_epoch);
  if v_source.window_id is distinct from p_window or v_source.state <> 'active'
    or pawl.is_source_off(p_name) then return false; end if;
  update pawl.source_window w set state = 'sent', sent_at = pawl.now(), answered_at = null, attempt = w.attempt + 1
   where w.id = p_window and w.reserved_at = v_source.window_at and w.state = 'reserved';
  if not found then return false; end if;
  update pawl.lease l set next_slot = greatest(l.next_slot, pawl.clock_now() + p_gap) where l.name = 'source:' || p_name;
  update pawl.source s set last_fetch_at = pawl.now() where s.id = v_source.id;
  return true;
end $$;

-- The next request starts p_gap after this answer: only now it is certain that the one before had arrived.
create or replace function pawl.keep_gap(p_name text, p_gap interval) returns void
language sql volatile as $$
  update pawl.lease l set next_slot = greatest(l.next_slot, pawl.clock_now() + p_gap) where l.name = 'source:' || p_name
$$;

-- The page is durable: from here on this window is never requested again unless a person says so. False: a person has
-- taken the window away meanwhile.
create or replace function pawl.keep_page_v1(p_name text, p_epoch bigint, p_window bigint, p_gap interval, p_bytes bytea,
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

create or replace function pawl.fail_window_v1(p_name text, p_epoch bigint, p_window bigint, p_gap interval, p_fault text, p_error text,
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
