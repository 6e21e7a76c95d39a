-- Runs: starting them, and what they have come to.

-- p_runs: [{"process", "version"?: else the newest, "input", "key"?, "lane"?, "priority"?, "delay_ms"?, "run_at"?, "meta"?, "ref"?}].
-- A key that a live run has answers duplicate, with that run. p_xid as in enqueue_each_v1.
create or replace function pawl.start_processes_v1(p_runs jsonb, p_xid text default null) returns table (id text, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_run jsonb;
  v_tasks jsonb := '[]';
  v_version int;
begin
  if jsonb_array_length(p_runs) = 0 or p_xid <> coalesce(pg_current_xact_id_if_assigned()::text, '') then return; end if;
  for v_run in select e.run from jsonb_array_elements(p_runs) with ordinality e (run, place) order by e.place loop
    select max(v.version) into v_version from pawl.process_version v
     where v.process = v_run ->> 'process' and (v.version = (v_run ->> 'version')::int or v_run ->> 'version' is null);
    if v_version is null then
      raise exception 'unknown process "%"', coalesce(v_run ->> 'process', '') || coalesce(' version ' || (v_run ->> 'version'), '')
        using errcode = 'PW011', hint = coalesce('known: ' || (select string_agg(distinct v.process, ', ') from pawl.process_version v),
          'start a worker whose app defines it');
    end if;
    v_tasks := v_tasks || jsonb_build_array((v_run - '{process,input}'::text[]) || jsonb_build_object('kind', v_run ->> 'process',
      'queue', 'processes', 'version', v_version, 'payload', v_run -> 'input'));
  end loop;
  return query select e.id::text, e.outcome from pawl.put_tasks(v_tasks, true) e;
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
    when p_state = 'scheduled' and p_last = 'failed' then 'retry'
    else 'pending' end;

-- The last row of a run.
create or replace function pawl.last_step(p_id bigint) returns pawl.process_step
language sql stable as $$ select s.* from pawl.process_step s where s.run_id = p_id order by s.no desc limit 1 $$;

-- The step that a run stands at; p_first before any row has moved it, null at its end.
create or replace function pawl.step_at(p_id bigint, p_first text) returns text
language sql stable as $$
  select case when m.no is null then p_first else m.next end
    from (select 1) one left join lateral (
      select s.no, s.next from pawl.process_step s
       where s.run_id = p_id and s.outcome in ('done', 'skipped', 'restarted', 'completed', 'ended')
       order by s.no desc limit 1) m on true
$$;

-- Runs, the newest first; null: any. A status that is also a task's state is looked for by it.
create or replace function pawl.process_runs_v1(p_id bigint, p_process text, p_status text, p_key text, p_limit int)
returns table (id bigint, process text, version int, status text, step text, key text, lane text, attempt smallint, created_at timestamptz,
  run_at timestamptz, ended_at timestamptz, worker_id int, message text, waits_for text, until timestamptz, error jsonb)
language plpgsql stable as $$
declare
  v_state text := case when p_status = 'error' then 'dead' when p_status = 'skipped' then 'done'
    when p_status in ('done', 'expired', 'cancelled', 'running') then p_status end;
  -- where the rows of steps decide, each run is looked at, else only those that are listed
  v_first int := case when p_status is null or p_status in ('error', 'expired', 'running') then p_limit end;
  v_where text := concat_ws(' and ', $w$t.queue = 'processes'$w$, case when p_id is not null then 't.id = $1' end,
    case when p_process is not null then 't.kind = $2' end, case when p_key is not null then 't.key = $4' end,
    case when v_state is not null then 't.state = $6' end,
    case when p_status in ('pending', 'retry', 'waiting', 'sleeping', 'held') then 't.ended_at is null' end);
begin
  return query execute format($q$
    select r.* from (
      select t.id, t.kind, t.version, pawl.run_status(t.state, s.outcome, s.output ->> 'status') as status,
             case when t.ended_at is null or t.state = 'dead' then pawl.step_at(t.id, (v.shape -> 0) ->> 'name') end, t.key, t.lane,
             t.attempt, t.created_at, t.run_at, t.ended_at, t.worker_id, s.message,
             case when s.outcome = 'waiting' then s.signal end, case when s.outcome in ('waiting', 'sleeping') then s.until end, t.error
        from (select * from pawl.task_v1 t where %s order by t.id desc limit $7) t
        left join lateral pawl.last_step(t.id) s on true
        left join pawl.process_version v on v.process = t.kind and v.version = t.version) r (id, process, version, status, step, key,
          lane, attempt, created_at, run_at, ended_at, worker_id, message, waits_for, until, error)
     where $3 is null or r.status = $3
     order by r.id desc limit $5$q$, v_where)
  using p_id, p_process, p_status, p_key, p_limit, v_state, v_first;
end $$;

-- The rows of a run, oldest first.
create or replace function pawl.process_steps_v1(p_id bigint) returns setof pawl.process_step
language sql stable as $$ select s.* from pawl.process_step s where s.run_id = p_id order by s.no $$;

-- The next run that has a row or a signal.
create or replace function pawl.run_after(p_run bigint) returns bigint
language sql stable as $$
  select least((select s.run_id from pawl.process_step s where s.run_id > p_run order by s.run_id limit 1),
    (select g.run_id from pawl.process_signal g where g.run_id > p_run order by g.run_id limit 1))
$$;

-- Takes away steps and signals of runs that history has forgotten: of p_limit runs after p_after. Answers the last run that was looked at;
-- null: none was left.
create or replace function pawl.prune_steps_v1(p_after bigint, p_limit int) returns bigint
language plpgsql volatile as $$
declare
  v_ids bigint[];
  v_gone bigint[];
begin
  v_ids := array(
    with recursive run as (
      select n.run_id from pawl.run_after(p_after) n (run_id)
      union all
      select n.run_id from run r cross join lateral pawl.run_after(r.run_id) n (run_id) where r.run_id is not null
    ) select r.run_id from run r where r.run_id is not null limit p_limit);
  v_gone := pawl.unknown_tasks(v_ids);
  delete from pawl.process_step s where s.run_id = any (v_gone);
  delete from pawl.process_signal s where s.run_id = any (v_gone);
  return (select max(u.id) from unnest(v_ids) u (id));
end $$;
