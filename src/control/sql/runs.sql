-- Runs of commands. Lock order: the gate, the lease, the run.

-- How long a lock holds without a renewal: longer than a restart of the database.
create or replace function pawl.command_lease() returns interval
language sql immutable return interval '30 seconds';

create or replace function pawl.command_lock(p_key text) returns text
language sql immutable return 'command:' || p_key;

-- Of each key the latest runs are kept.
create or replace function pawl.command_runs_kept() returns int
language sql immutable return 1000;

-- Runs, with what became of those that nobody has ended. ended_at of a lost one: when it was last heard of.
create or replace view pawl.command_run_now_v1 as
select r.id, r.key, r.epoch, r.on_crash, r.host, r.pid, r.by, r.why, r.started_at,
       case when r.ended_at is not null or s.is_held then r.ended_at else coalesce(s.heard_at, r.started_at) end as ended_at,
       case when r.outcome is not null then r.outcome when s.is_held then 'working' when r.on_crash = 'hold' then 'locked' else 'lost' end as outcome,
       r.error, r.progress, r.fraction, s.heard_at, r.ended_at is null as is_open
  from pawl.command_run r
  left join lateral (select pawl.is_lease_held(pawl.command_lock(r.key), r.epoch) as is_held,
      pawl.lease_heard_at(pawl.command_lock(r.key), r.epoch) as heard_at) s on r.ended_at is null;

-- Who runs or ran it, for refusals.
create or replace function pawl.command_holder(p_key text) returns jsonb
language sql stable as $$
  select jsonb_build_object('run_id', r.id, 'host', r.host, 'pid', r.pid, 'by', r.by, 'since', r.started_at,
      'task_id', r.task_id::text)
    from pawl.command_run r where r.key = p_key and r.ended_at is null
$$;

-- Starts a run, or says why not: refusal is running | locked | off | quiet, with the holder, the switches or the quiet hours in detail.
-- p_task: the task that asked for it.
create or replace function pawl.start_command_v1(p_name text, p_param text, p_on_crash text, p_host text, p_pid int, p_by text, p_why text,
  p_action text, p_task bigint default null)
returns table (run_id bigint, epoch bigint, lease_ms int, refusal text, detail jsonb)
language plpgsql volatile
set lock_timeout = '10s' as $$
#variable_conflict use_column
declare
  v_key text := pawl.command_key(p_name, p_param);
  v_before pawl.command_run_now_v1;
  v_taken record;
begin
  select r.* into v_before from pawl.command_run_now_v1 r where r.key = v_key and r.is_open;
  if v_before.on_crash = 'hold' then
    return query select null::bigint, null::bigint, null::int, case v_before.outcome when 'locked' then 'locked' else 'running' end,
      pawl.command_holder(v_key);
    return;
  end if;
  select t.* into v_taken from pawl.take_lease_if_on(pawl.command_lock(v_key), format('%s on %s (pid %s)', p_by, p_host, p_pid),
    pawl.command_lease(), 'command', pawl.command_scopes(p_name, p_param), pawl.command_takes(p_name, v_key)) t;
  if v_taken.epoch is null then
    return query select null::bigint, null::bigint, null::int, case when v_taken.off is not null then 'off' when v_taken.quiet is not null then 'quiet' else 'running' end,
      coalesce(v_taken.off, v_taken.quiet, pawl.command_holder(v_key));
    return;
  end if;
  -- one that is to hold its lock stays open, and its row refuses ours
  update pawl.command_run r set ended_at = coalesce(v_before.ended_at, pawl.now()), outcome = 'lost'
   where r.key = v_key and r.ended_at is null and r.on_crash = 'expire';
  delete from pawl.command_run r where r.key = v_key and r.id < (
    select k.id from pawl.command_run k where k.key = v_key order by k.id desc offset pawl.command_runs_kept() - 2 limit 1);
  perform pawl.audit_v1(p_by, p_action, 'command:' || v_key, p_why, null);
  return query
  insert into pawl.command_run (key, epoch, on_crash, host, pid, by, why, task_id)
  values (v_key, v_taken.epoch, p_on_crash, p_host, p_pid, p_by, nullif(p_why, ''), p_task)
  returning id, v_taken.epoch, (extract(epoch from pawl.command_lease()) * 1000)::int, null::text, null::jsonb;
end $$;

-- What a run says about how far it is.
create or replace function pawl.progress_command_v1(p_run bigint, p_progress text, p_fraction real) returns void
language sql volatile
set lock_timeout = '1s' as $$
  update pawl.command_run r set progress = p_progress, fraction = p_fraction where r.id = p_run and r.ended_at is null
$$;

-- Ends a run that still has its lock, and gives the lock back. Again with the same outcome it changes nothing: an answer may have been lost.
create or replace function pawl.end_command_v1(p_run bigint, p_outcome text, p_error jsonb, p_progress text, p_fraction real) returns void
language plpgsql volatile
set lock_timeout = '2s' as $$
declare
  v_run pawl.command_run;
begin
  select r.* into v_run from pawl.command_run r where r.id = p_run;
  if v_run.outcome = p_outcome then return; end if;
  if not pawl.release_lease_v1(pawl.command_lock(v_run.key), v_run.epoch) then
    perform pawl.no_such_lease(pawl.command_lock(v_run.key), v_run.epoch);
  end if;
  update pawl.command_run r set ended_at = pawl.now(), outcome = p_outcome, error = p_error, progress = p_progress, fraction = p_fraction
   where r.id = p_run and r.ended_at is null;
end $$;
