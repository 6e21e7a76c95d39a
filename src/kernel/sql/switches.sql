-- Turning off and on.

-- Claims hold this lock shared and then read the switches; turning a switch holds it exclusively. So once a switch is
-- committed, no claim that has not seen it is open. READ COMMITTED: the read must be a statement of its own.
create or replace function pawl.gate_lock() returns bigint
language sql immutable return hashtextextended('pawl.gate', 0);

create or replace function pawl.is_off_all() returns boolean
language sql stable return exists (select 1 from pawl.switch w where w.scope = 'all' and (w.until is null or w.until > pawl.now()));

-- Returns whether work of a transaction that is not a task, such as storing a batch, may begin. The lock shows until the transaction's
-- end that it runs. The lock is taken first: so `off` either finds it held, or is seen here.
create or replace function pawl.begin_batch() returns boolean
language plpgsql volatile as $$
begin
  perform pg_advisory_xact_lock_shared(pawl.batch_lock());
  return not pawl.is_off_all();
end $$;

create or replace function pawl.batch_lock() returns bigint
language sql immutable return hashtextextended('pawl.batch', 0);

create or replace function pawl.running_batches() returns int
language sql stable as $$
  select count(*)::int from pg_locks l
   where l.locktype = 'advisory' and l.granted and l.database = (select d.oid from pg_database d where d.datname = current_database())
     and l.objsubid = 1 and (l.classid::bigint << 32 | l.objid::bigint) = pawl.batch_lock()
$$;


-- Once this has committed, nothing of the scope is claimed until it is on again, or p_until has come. What was claimed before
-- may still be on its way to its worker: when unseen_off_v1 returns 0, nothing of the scope starts any more.
create or replace function pawl.off_v1(p_scope text, p_by text, p_why text, p_until timestamptz, p_action text default null)
returns void
language plpgsql volatile as $$
declare
  v_scope text;
  v_name text;
begin
  select s.scope, s.name into v_scope, v_name from pawl.scope_of(p_scope) s;
  if p_until <= pawl.now() then
    raise exception 'off %: expected the end to be in the future, got %', p_scope, p_until using errcode = 'PW010',
      hint = 'leave it out to stay off until somebody turns it on';
  end if;
  perform pawl.on_switch(v_scope, v_name, true);
  perform pg_advisory_xact_lock(pawl.gate_lock());
  perform pawl.scope_of(p_scope); -- a group may have gone until now
  insert into pawl.switch as w (scope, name, off_by, why, until)
  values (v_scope, v_name, coalesce(nullif(p_by, ''), session_user), nullif(p_why, ''), p_until)
  on conflict (scope, name) do update
     set off_by = excluded.off_by, why = excluded.why, until = excluded.until, drops = false,
         since = case when w.until <= pawl.now() then pawl.now() else w.since end;
  perform pawl.ask_for_off_v1();
  perform pawl.audit_v1(p_by, coalesce(p_action, 'switches.off'), pawl.scope_text(v_scope, v_name), p_why,
    jsonb_build_object('until', p_until));
end $$;

-- Asks the workers to say when nothing that was claimed before is on its way to them. The caller holds the gate's lock.
create or replace function pawl.ask_for_off_v1() returns void
language plpgsql volatile as $$
declare
  v_epoch bigint;
begin
  update pawl.off_epoch e set epoch = e.epoch + 1 returning e.epoch into v_epoch;
  perform pg_notify('pawl.wake', 'off ' || v_epoch);
end $$;

-- A worker has seen this epoch: nothing that was claimed before starts on it from now on.
create or replace function pawl.see_off_v1(p_worker int, p_epoch bigint) returns void
language sql volatile
set lock_timeout = '1s' as $$
  update pawl.worker w set off_seen = p_epoch where w.id = p_worker and w.off_seen < p_epoch
$$;

-- Number of live workers and of holders of leases that may still start something of a scope that is off. p_scope: as scope_text prints it.
create or replace function pawl.unseen_off_v1(p_scope text) returns int
language sql stable as $$
  with held as materialized (select pawl.scopes_in(p_scope) as scopes)
  select (select count(*) from pawl.worker w cross join held h
     where w.ended_at is null and w.lease_until > pawl.now() and w.off_seen < (select e.epoch from pawl.off_epoch e)
       and (p_scope = 'all' or h.scopes && w.serves or exists (
         select 1 from pawl.claim c join pawl.stream st on st.id = c.stream_id join pawl.queue q on q.id = c.queue_id
          where c.worker_id = w.id and h.scopes && pawl.scopes_of(q.name, st.kind))))::int
    + (select count(*) from pawl.lease l cross join held h
        where not l.is_begun and l.lease_until > pawl.now() and pawl.is_lease_of(l.name, h.scopes))::int
$$;

-- Returns whether it was off. The breakers of a queue, of a kind, or of a group's are closed: what a person turns on starts now.
create or replace function pawl.on_v1(p_scope text, p_by text, p_why text, p_action text default null) returns boolean
language plpgsql volatile as $$
declare
  v_scope text;
  v_name text;
  v_was_off boolean;
begin
  select s.scope, s.name into v_scope, v_name from pawl.scope_of(p_scope) s;
  perform pawl.on_switch(v_scope, v_name, false);
  perform pg_advisory_xact_lock(pawl.gate_lock()); -- what was claimed before, and may still find it off, is woken by on_lifted
  delete from pawl.switch w where w.scope = v_scope and w.name = v_name
  returning w.until is null or w.until > pawl.now() into v_was_off;
  perform pawl.end_breakers_v1(array(
    select st.id from pawl.stream st join pawl.queue q on q.id = st.queue_id
      join pawl.held_by(v_scope, v_name) h on h.scope <> 'all' and pawl.holds_kind(h.scope, h.name, q.name, st.kind)),
    'resumed by ' || coalesce(nullif(p_by, ''), session_user));
  perform pawl.audit_v1(p_by, coalesce(p_action, 'switches.on'), pawl.scope_text(v_scope, v_name), p_why, null);
  perform pawl.on_lifted();
  perform pg_notify('pawl.wake', '');
  return coalesce(v_was_off, false);
end $$;
