-- What an operator does to a source: one function per act. Each returns one row, or none if there is no such source.
-- outcome: done | not_held | in_progress | no_target | not_forward | not_back. from_cursor: of the next window, before the
-- act; to_cursor: after it.

-- Locks the source first, in a statement before its window is read; null if there is none.
create or replace function pawl.lock_source(p_name text) returns pawl.source
language plpgsql volatile as $$
declare
  v_source pawl.source;
begin
  perform pawl.require_read_committed();
  select s.* into v_source from pawl.source s where s.name = p_name for no key update;
  return v_source;
end $$;

create or replace function pawl.window_of(p_source pawl.source) returns pawl.source_window
language sql stable as $$
  select w from pawl.source_window w where w.id = p_source.window_id and w.reserved_at = p_source.window_at
$$;

-- Returns why nothing can be decided about its window now: in_progress | not_held; null: it is held, or its last try has failed.
create or replace function pawl.undecidable(p_source pawl.source) returns text
language sql stable as $$
  select case
      when p_source.state = 'held' then null
      when w.state in ('sent', 'answered') or w.state = 'reserved' and p_source.failures = 0 then 'in_progress'
      when p_source.failures = 0 then 'not_held' end
    from (select (pawl.window_of(p_source)).state) w
$$;

-- Compares the second of two cursors with the first: 1 after it, -1 before it, 0 the same; null if no order is known.
create or replace function pawl.cursor_order(p_source pawl.source, p_to text) returns int
language sql immutable as $$
  select case when p_source.cursor_kind = 'number' then sign(p_to::numeric - p_source.requested::numeric)::int end
$$;

-- Discards its window and the stored page.
create or replace function pawl.give_window_up(p_source pawl.source, p_state text) returns void
language sql volatile as $$
  update pawl.source_window w set state = p_state, ended_at = pawl.now()
   where w.id = p_source.window_id and w.reserved_at = p_source.window_at;
  delete from pawl.source_page g using pawl.window_of(p_source) w where g.window_id = w.id;
$$;

-- Loading goes on after the cursor, with this window; null: with a new one.
create or replace function pawl.go_on(p_source pawl.source, p_to text, p_window_id bigint) returns void
language sql volatile as $$
  update pawl.source s
     set state = 'active', held_fault = null, held_error = null, held_at = null, failures = 0, next_at = pawl.now(),
         requested = p_to, window_id = p_window_id,
         highest = case when s.cursor_kind = 'number' then greatest(s.highest::numeric, p_to::numeric)::text else p_to end
   where s.id = p_source.id
$$;

-- The end of every act: writes the audit, and returns the row of the act. p_source: as it was before.
create or replace function pawl.acted_on_source(p_source pawl.source, p_action text, p_to text, p_by text, p_why text,
  out outcome text, out from_cursor text, out to_cursor text, out window_id bigint)
language plpgsql volatile as $$
begin
  outcome := 'done';
  from_cursor := p_source.requested;
  to_cursor := p_to;
  window_id := (pawl.window_of(p_source)).id;
  perform pawl.audit_v1(p_by, 'sources.' || p_action, 'source:' || p_source.name, p_why, jsonb_strip_nulls(jsonb_build_object(
    'from', from_cursor, 'to', nullif(to_cursor, from_cursor), 'window', window_id, 'error', p_source.held_error)));
  perform pawl.wake_v1();
end $$;

-- The row that a refused act returns.
create or replace function pawl.refused_act(p_source pawl.source, p_outcome text, p_to text,
  out outcome text, out from_cursor text, out to_cursor text, out window_id bigint)
language sql stable as $$
  select p_outcome, p_source.requested, p_to, (pawl.window_of(p_source)).id
$$;

-- Parses the stored page again; without one, or with p_fetch, the window is requested again.
create or replace function pawl.retry_source_v1(p_name text, p_fetch boolean, p_by text, p_why text)
returns table (outcome text, from_cursor text, to_cursor text, window_id bigint)
language plpgsql volatile as $$
declare
  v_source pawl.source := pawl.lock_source(p_name);
  v_refused text := pawl.undecidable(v_source);
begin
  if v_source.id is null then return; end if;
  if v_refused is not null then return query select * from pawl.refused_act(v_source, v_refused, v_source.requested); return; end if;
  if p_fetch then delete from pawl.source_page g using pawl.window_of(v_source) w where g.window_id = w.id; end if;
  update pawl.source_window w
     set state = case when exists (select from pawl.source_page g where g.window_id = w.id) then 'answered' else 'failed' end, ended_at = null
   where w.id = v_source.window_id and w.reserved_at = v_source.window_at;
  perform pawl.go_on(v_source, v_source.requested, v_source.window_id);
  return query select * from pawl.acted_on_source(v_source, 'retry', v_source.requested, p_by, p_why);
end $$;

-- Discards the window, and reserves a new one after the same cursor.
create or replace function pawl.release_source_v1(p_name text, p_by text, p_why text)
returns table (outcome text, from_cursor text, to_cursor text, window_id bigint)
language plpgsql volatile as $$
declare
  v_source pawl.source := pawl.lock_source(p_name);
  v_refused text := pawl.undecidable(v_source);
begin
  if v_source.id is null then return; end if;
  if v_refused is not null then return query select * from pawl.refused_act(v_source, v_refused, v_source.requested); return; end if;
  perform pawl.give_window_up(v_source, 'released');
  perform pawl.go_on(v_source, v_source.requested, null);
  return query select * from pawl.acted_on_source(v_source, 'release', v_source.requested, p_by, p_why);
end $$;

-- Loading goes on after the window: from p_to, or from the next cursor that its page named.
create or replace function pawl.skip_source_v1(p_name text, p_to text, p_by text, p_why text)
returns table (outcome text, from_cursor text, to_cursor text, window_id bigint)
language plpgsql volatile as $$
declare
  v_source pawl.source := pawl.lock_source(p_name);
  v_refused text := pawl.undecidable(v_source);
  v_to text := coalesce(p_to, (pawl.window_of(v_source)).next_cursor);
begin
  if v_source.id is null then return; end if;
  if v_refused is null and v_to is null then v_refused := 'no_target'; end if;
  if v_refused is null and pawl.cursor_order(v_source, v_to) <= 0 then v_refused := 'not_forward'; end if;
  if v_refused is not null then return query select * from pawl.refused_act(v_source, v_refused, v_to); return; end if;
  perform pawl.give_window_up(v_source, 'skipped');
  perform pawl.go_on(v_source, v_to, null);
  return query select * from pawl.acted_on_source(v_source, 'skip', v_to, p_by, p_why);
end $$;

-- Loading goes back to p_to, in whatever state its window is; the source's stored state is deleted.
create or replace function pawl.rewind_source_v1(p_name text, p_to text, p_by text, p_why text)
returns table (outcome text, from_cursor text, to_cursor text, window_id bigint)
language plpgsql volatile as $$
declare
  v_source pawl.source := pawl.lock_source(p_name);
begin
  if v_source.id is null then return; end if;
  if pawl.cursor_order(v_source, p_to) >= 0 then return query select * from pawl.refused_act(v_source, 'not_back', p_to); return; end if;
  perform pawl.give_window_up(v_source, 'released');
  perform pawl.go_on(v_source, p_to, null);
  update pawl.source s set memo = null where s.id = v_source.id;
  update pawl.source_storage t set stored = p_to where t.source_id = v_source.id;
  return query select * from pawl.acted_on_source(v_source, 'rewind', p_to, p_by, p_why);
end $$;
