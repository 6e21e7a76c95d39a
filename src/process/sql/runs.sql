-- Runs: starting them, and what they have come to.

-- p_runs: [{"process", "version"?: else the newest, "input", "key"?, "lane"?, "priority"?, "delay_ms"?, "run_at"?, "meta"?, "ref"?}].
-- A key that a live run has answers duplicate, with that run. p_xid as in enqueue_each_v1.
create or replace function pawl.start_processes_v1(p_runs jsonb, p_xid text default null) returns table (id text, outcome text)
language plpgsql volatile as $$
begin
  if jsonb_array_length(p_runs) = 0 or p_xid <> coalesce(pg_current_xact_id_if_assigned()::text, '') then return; end if;
  return query select e.id::text, e.outcome from pawl.put_tasks(pawl.tasks_of_runs(p_runs), true) e;
end $$;

-- Of runs as above, in their order.
create or replace function pawl.tasks_of_runs(p_runs jsonb) returns jsonb
language plpgsql stable as $$
declare
  v_unknown jsonb;
begin
  select e.run into v_unknown from jsonb_array_elements(p_runs) with ordinality e (run, place)
   where pawl.defined_version(e.run ->> 'process', (e.run ->> 'version')::int) is null order by e.place limit 1;
  if found then
    raise exception 'unknown process "%"', coalesce(v_unknown ->> 'process', '') || coalesce(' version ' || (v_unknown ->> 'version'), '')
      using errcode = 'PW011', hint = coalesce('known: ' || (select string_agg(distinct v.process, ', ') from pawl.process_version v),
        'start a worker whose app defines it');
  end if;
  return (
    select jsonb_agg((e.run - '{process,input}'::text[]) || jsonb_build_object('kind', e.run ->> 'process', 'queue', 'processes',
             'version', pawl.defined_version(e.run ->> 'process', (e.run ->> 'version')::int), 'payload', e.run -> 'input') order by e.place)
      from jsonb_array_elements(p_runs) with ordinality e (run, place));
end $$;

-- The version, or the newest where it is null; null: no code has defined it.
create or replace function pawl.defined_version(p_process text, p_version int) returns int
language sql stable as $$
  select max(v.version) from pawl.process_version v where v.process = p_process and (v.version = p_version or p_version is null)
$$;

-- The run of a delivery, if some code defines its process; else no row. Its meta, and its input where p_is_event, are the event's with what
-- Pawl adds: their limits were those of the event.
create or replace function pawl.start_known_v1(p_run jsonb, p_is_event boolean) returns table (id text, outcome text)
language plpgsql volatile as $$
begin
  if pawl.defined_version(p_run ->> 'process', (p_run ->> 'version')::int) is null then return; end if;
  return query select e.id::text, e.outcome
    from pawl.put_tasks(pawl.without_long_tenant(pawl.tasks_of_runs(jsonb_build_array(p_run))), true,
      case when p_is_event then '{}' else '{payload}' end::text[]) e;
end $$;

-- For everybody, from SQL: starts a run of the newest version, in the caller's transaction.
create or replace function pawl.start_process(p_process text, p_input jsonb, p_key text default null, p_lane text default null)
returns table (id bigint, outcome text)
language sql volatile security definer as $$
  select s.id::bigint, s.outcome from pawl.start_processes_v1(jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
    'process', p_process, 'key', p_key, 'lane', p_lane)) || jsonb_build_object('input', p_input))) s
$$;

-- What a run's task and the last row of its steps make of it.
create or replace function pawl.run_status(p_state text, p_last text, p_end text) returns text
language sql immutable
return case
    when p_state = 'dead' then 'error'
    when p_state = 'done' then coalesce(p_end, 'done')
    when p_state in ('cancelled', 'removed') and p_last = 'abandoned' then 'abandoned'
    when p_state in ('cancelled', 'expired', 'removed') then p_state
    when p_state = 'running' then 'running'
    when p_last in ('waiting', 'sleeping', 'held') then p_last
    when p_state = 'scheduled' and p_last in ('failed', 'began') then 'retry'
    else 'pending' end;

-- The last row of a run.
create or replace function pawl.last_step(p_id bigint) returns pawl.process_step
language sql stable as $$ select s.* from pawl.process_step s where s.run_id = p_id order by s.no desc limit 1 $$;

-- The last row that has moved a run, but for the hook that runs after an end. p_last: its last step in its shape, which may be that hook.
create or replace function pawl.last_move(p_id bigint, p_last jsonb) returns table (outcome text, output jsonb, message text)
language sql stable as $$
  select s.outcome, s.output, s.message from pawl.process_step s
   where s.run_id = p_id and s.outcome in ('done', 'skipped', 'restarted', 'completed', 'migrated', 'ended')
     and (s.outcome = 'ended' or p_last ->> 'kind' is distinct from 'hook' or s.step is distinct from p_last ->> 'name')
   order by s.no desc limit 1
$$;

-- The status and the message of the `end()` that ended a run; no row: it came to its end by itself.
create or replace function pawl.run_end(p_id bigint, p_last jsonb) returns table (status text, message text)
language sql stable as $$
  select m.output ->> 'status', m.message from pawl.last_move(p_id, p_last) m where m.outcome = 'ended'
$$;

-- The step that a run stands at; p_first before any row has moved it, null at its end.
create or replace function pawl.step_at(p_id bigint, p_first text) returns text
language sql stable as $$
  select case when m.no is null then p_first else m.next end
    from (select 1) one left join lateral (
      select s.no, s.next from pawl.process_step s
       where s.run_id = p_id and s.outcome in ('done', 'skipped', 'restarted', 'completed', 'migrated', 'ended')
       order by s.no desc limit 1) m on true
$$;

-- The task that a run waits for: {"id", "queue", "kind", "status"}; status null: history has forgotten it.
create or replace function pawl.shown_task(p_id bigint) returns jsonb
language sql stable as $$
  select jsonb_build_object('id', p_id::text, 'queue', t.queue, 'kind', t.kind, 'status', t.status)
    from (select 1) one left join pawl.waited_task(p_id) t on true
$$;

-- What a run shows in lists, by the columns of its version: {"order": 7}, in their order.
create or replace function pawl.run_columns(p_id bigint, p_columns jsonb, p_input jsonb, p_meta jsonb) returns json
language sql stable as $$
  select json_object_agg(c.name, v.value order by c.place)
    from (select e.one ->> 'name' as name, array(select jsonb_array_elements_text(e.one -> 'path')) as path, e.place
            from jsonb_array_elements(p_columns) with ordinality e (one, place)) c
    cross join lateral (select case c.path[1] when 'input' then p_input when 'meta' then p_meta
      else (select jsonb_object_agg(k.key, k.value order by s.no) from pawl.process_step s cross join lateral jsonb_each(s.data) k
             where s.run_id = p_id and s.data is not null) end #> c.path[2:] as value) v
$$;

-- All of them have these texts: {"order": "7"}.
create or replace function pawl.has_columns(p_columns json, p_wanted jsonb) returns boolean
language sql immutable as $$
  select not exists (select from jsonb_each_text(p_wanted) w where p_columns ->> w.key is distinct from w.value)
$$;

create or replace function pawl.count_warnings(p_id bigint) returns int
language sql stable as $$
  select count(*)::int from pawl.process_step s cross join lateral jsonb_array_elements(s.notes) n (note)
   where s.run_id = p_id and s.notes is not null and n.note ->> 'level' = 'warning'
$$;

-- Runs, the newest first; null: any. A status that is also a task's state is looked for by it. p_where: texts of columns; then at most the
-- newest 100,000 are looked at.
create or replace function pawl.process_runs_v1(p_id bigint, p_process text, p_status text, p_key text, p_limit int, p_where jsonb, p_lane text)
returns table (id bigint, process text, version int, status text, step text, key text, lane text, attempt smallint, created_at timestamptz,
  run_at timestamptz, ended_at timestamptz, worker_id int, message text, waits_for text, until timestamptz, error jsonb,
  waits_for_task jsonb, waits_for_event jsonb, columns json, warnings int)
language plpgsql stable as $$
declare
  v_state text := case when p_status = 'error' then 'dead' when p_status = 'skipped' then 'done'
    when p_status in ('done', 'expired', 'cancelled', 'running') then p_status end;
  -- where the rows of steps decide, each run is looked at, else only those that are listed
  v_first int := case when p_where is not null then 100000
    when p_status is null or p_status in ('error', 'expired', 'running') then p_limit end;
  v_where text := concat_ws(' and ', $w$t.queue = 'processes'$w$, case when p_id is not null then 't.id = $1' end,
    case when p_process is not null then 't.kind = $2' end, case when p_key is not null then 't.key = $4' end,
    case when p_lane is not null then 't.lane = $9' end,
    case when v_state is not null then 't.state = $6' end,
    case when p_status in ('pending', 'retry', 'waiting', 'sleeping', 'held') then 't.ended_at is null' end);
begin
  return query execute format($q$
    select r.id, r.process, r.version, r.status, r.step, r.key, r.lane, r.attempt, r.created_at, r.run_at, r.ended_at, r.worker_id, r.message,
           r.waits_for, r.until, r.error, r.waits_for_task, r.waits_for_event,
           coalesce(pawl.run_columns(r.id, r.columns, r.payload, r.meta), '{}'), pawl.count_warnings(r.id)
     from (
     select * from (
      select t.id, t.kind, t.version, pawl.run_status(t.state, pawl.held_or(t.id, s.outcome), e.status) as status,
             case when t.ended_at is null or t.state = 'dead' then pawl.step_at(t.id, (v.shape -> 0) ->> 'name') end, t.key, t.lane,
             t.attempt, t.created_at, t.run_at, t.ended_at, t.worker_id, coalesce(s.message, e.message),
             case when s.outcome = 'waiting' and s.signal not like 'pawl:%%' then s.signal end,
             case when s.outcome in ('waiting', 'sleeping') then s.until end, t.error,
             case when s.outcome = 'waiting' and s.signal like 'pawl:task:%%' then pawl.shown_task(substr(s.signal, 11)::bigint) end,
             case when s.outcome = 'waiting' and s.signal like 'pawl:event:%%' then pawl.event_ending(substr(s.signal, 12)::uuid) - 'deliveries' end,
             v.columns, t.payload, t.meta
        from (select * from pawl.task_v1 t where %s order by t.id desc limit $7) t
        left join lateral pawl.last_step(t.id) s on true
        left join pawl.process_version v on v.process = t.kind and v.version = t.version
        left join lateral (select * from pawl.run_end(t.id, v.shape -> -1) where t.state = 'done') e on true) i (id, process, version, status, step, key,
          lane, attempt, created_at, run_at, ended_at, worker_id, message, waits_for, until, error, waits_for_task, waits_for_event, columns, payload, meta)
     where ($3 is null or i.status = $3)
       and ($8 is null or pawl.has_columns(pawl.run_columns(i.id, i.columns, i.payload, i.meta), $8))
     order by i.id desc limit $5) r
     order by r.id desc$q$, v_where)
  using p_id, p_process, p_status, p_key, p_limit, v_state, v_first, p_where, p_lane;
end $$;

-- What was given to a run beside its input.
create or replace function pawl.run_meta_v1(p_id bigint) returns jsonb
language sql stable as $$ select t.meta from pawl.task_v1 t where t.id = p_id and t.queue = 'processes' $$;

-- The rows of a run, oldest first.
create or replace function pawl.process_steps_v1(p_id bigint) returns setof pawl.process_step
language sql stable as $$ select s.* from pawl.process_step s where s.run_id = p_id order by s.no $$;
