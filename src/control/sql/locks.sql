-- Locks of commands, as operators see them and take them away.

-- state: working | locked | lost. Of a lost one the next start takes the lock over.
create or replace function pawl.locks_v1() returns table (key text, state text, host text, pid int, by text, since timestamptz,
  heard_at timestamptz, epoch bigint, on_crash text, run_id bigint)
language sql stable as $$
  select r.key, r.outcome, r.host, r.pid, r.by, r.started_at, r.heard_at, r.epoch, r.on_crash, r.id
    from pawl.command_run_now_v1 r where r.is_open order by r.key
$$;

-- Takes the lock of a key away, from a process that died, or from one that runs: nothing that it does under the lock counts from now on.
-- Returns what the lock was, and whose.
create or replace function pawl.release_lock_v1(p_key text, p_by text, p_why text, p_action text) returns table (state text, host text,
  pid int, since timestamptz)
language plpgsql volatile
set lock_timeout = '5s' as $$
declare
  v_lock record;
  v_was_held boolean;
begin
  select l.* into v_lock from pawl.locks_v1() l where l.key = p_key;
  if found then
    v_was_held := pawl.fence_lease(pawl.command_lock(p_key));
    update pawl.command_run r set ended_at = pawl.now(), outcome = 'released' where r.id = v_lock.run_id and r.ended_at is null;
  end if;
  if not found then -- or it has ended in the meantime: then this undoes the fence
    raise exception 'no lock "%"', left(p_key, 200) using errcode = 'PW021',
      hint = coalesce('there are: ' || (select string_agg(l.key, ', ' order by l.key) from pawl.locks_v1() l), 'nothing is locked');
  end if;
  perform pawl.audit_v1(p_by, p_action, 'command:' || p_key, p_why,
    jsonb_build_object('run_id', v_lock.run_id, 'host', v_lock.host, 'pid', v_lock.pid));
  return query select case when v_was_held then 'working' else v_lock.state end, v_lock.host, v_lock.pid, v_lock.since;
end $$;

-- Locks that a dead process has left, which nobody has been told of.
create or replace function pawl.untold_locks() returns setof bigint
language sql stable as $$
  select r.id from pawl.command_run r
   where r.ended_at is null and r.on_crash = 'hold' and r.told_at is null
     and not pawl.is_lease_held(pawl.command_lock(r.key), r.epoch)
$$;

create or replace function pawl.are_untold_locks_v1() returns boolean
language sql stable as $$ select exists (select 1 from pawl.untold_locks()) $$;

-- Tells of each once, where a route wants it; whichever worker looks first. Returns the keys.
create or replace function pawl.tell_stale_locks_v1() returns setof text
language plpgsql volatile
set lock_timeout = '2s' as $$
declare
  v_run pawl.command_run;
begin
  for v_run in
    select r.* from pawl.command_run r where r.id in (select pawl.untold_locks()) and r.told_at is null order by r.id for update skip locked
  loop
    update pawl.command_run r set told_at = pawl.now() where r.id = v_run.id;
    if pawl.is_wanted('pawl' || '.lock.stale') then
      insert into pawl.event (name, aggregate_type, aggregate_id, payload)
      values ('pawl' || '.lock.stale', 'command', v_run.key, jsonb_build_object('lock', v_run.key, 'runId', v_run.id::text, 'host', v_run.host,
        'pid', v_run.pid, 'by', v_run."by", 'since', v_run.started_at, 'progress', v_run.progress,
        'heardAt', pawl.lease_heard_at(pawl.command_lock(v_run.key), v_run.epoch)));
    end if;
    return next v_run.key;
  end loop;
end $$;
