-- Dead letters: lists, and what operators do with them.

-- Dead letters go back to their queue with the same id, a fresh budget and their history: retried, or duplicate when a
-- live task has taken the key, and then it stays dead. One that blocks its lane becomes its head again; one whose lane
-- went on without it arrives anew, and its age puts it before what waits. An expiry that has passed is lifted.
create or replace function pawl.retry_dead_v1(p_ids bigint[], p_by text, p_why text, p_action text default null)
returns table (id bigint, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_dead pawl.dead;
  v_head pawl.task;
  v_queue int;
begin
  perform pg_current_xact_id(); -- before the first seq
  for v_dead in
    select d.* from pawl.dead d where d.id = any (p_ids) order by d.id for update
  loop
    select st.queue_id into v_queue from pawl.stream st where st.id = v_dead.stream_id;
    delete from pawl.task t where t.id = v_dead.id and t.state = 'blocked' returning t.* into v_head;
    insert into pawl.task as t (id, shard_id, queue_id, seq, state, run_at, created_at, expires_at, max_attempts, payload, meta, ref,
      last_error, lane, key, losses)
    values (v_dead.id, (pawl.shards_of(v_dead.stream_id, v_dead.priority, v_dead.reason = 'crashed'))[1], v_queue,
      nextval('pawl.seq'), case when v_dead.lane is not null and v_head.id is null then 'arrived' else 'ready' end,
      pawl.now(), v_dead.created_at, case when v_dead.expires_at > pawl.now() then v_dead.expires_at end,
      v_dead.max_attempts, v_dead.payload, v_dead.meta, v_dead.ref, v_dead.error, v_dead.lane, v_dead.key,
      (v_dead.reason = 'crashed')::int) -- still suspected
    on conflict (queue_id, key) where key is not null do nothing;
    if not found then
      insert into pawl.task select (v_head).* where v_head.id is not null;
      return query select v_dead.id, 'duplicate';
      continue;
    end if;
    delete from pawl.dead d where d.id = v_dead.id;
    insert into pawl.attempt (task_id, seq, attempt, outcome, worker_id, started_at, ended_at, error)
    values (v_dead.id, v_dead.seq, v_dead.attempt, 'dead', v_dead.worker_id, v_dead.started_at, v_dead.died_at, v_dead.error);
    perform pawl.audit_v1(p_by, coalesce(p_action, 'dead.retry'), 'task:' || v_dead.id, p_why, null);
    return query select v_dead.id, 'retried';
  end loop;
  perform pawl.wake_v1();
end $$;

-- Removes dead letters: they go to history as removed, and lanes that they blocked go on.
create or replace function pawl.remove_dead_v1(p_ids bigint[], p_by text, p_why text, p_action text default null)
returns table (id bigint, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_gone bigint[];
  v_queues int[];
  v_lanes text[];
begin
  with gone as (
    delete from pawl.dead d where d.id = any (p_ids) returning d.*
  ), kept as (
    insert into pawl.finished (id, seq, stream_id, worker_id, priority, attempt, outcome, created_at, run_at, started_at,
      finished_at, payload, meta, ref, lane, key, error)
    select g.id, g.seq, g.stream_id, g.worker_id, g.priority, g.attempt, 'removed', g.created_at, g.run_at, g.started_at,
           pawl.now(), g.payload, g.meta, g.ref, g.lane, g.key, g.error from gone g
  )
  select array_agg(g.id order by g.id) into v_gone from gone g;
  with freed as (
    delete from pawl.task t where t.id = any (v_gone) and t.state = 'blocked' returning t.queue_id, t.lane
  )
  select array_agg(f.queue_id), array_agg(f.lane) into v_queues, v_lanes from freed f;
  if v_lanes is not null then perform pawl.promote_lanes_v1(v_queues, v_lanes); end if;
  perform pawl.audit_v1(p_by, coalesce(p_action, 'dead.remove'), 'task:' || u.id, p_why, null) from unnest(v_gone) u (id);
  return query select u.id, 'removed' from unnest(v_gone) u (id);
end $$;

-- For going over the dead letters in the order of their ids: the first and the last id, and the next ids; p_limit null: all.
create or replace function pawl.dead_span(out first bigint, out last bigint)
language sql stable as $$ select coalesce(min(d.id), 1), coalesce(max(d.id), 0) from pawl.dead d $$;

create or replace function pawl.dead_ids(p_after bigint, p_upto bigint, p_limit int) returns setof bigint
language sql stable as $$
  select d.id from pawl.dead d where d.id > p_after and d.id <= p_upto order by d.id limit p_limit
$$;

-- Adds fields to the payloads of dead letters, and locks them; returns those that are dead.
create or replace function pawl.add_to_dead(p_ids bigint[], p_fields jsonb[]) returns setof bigint
language sql volatile as $$
  with mine as materialized (
    select d.id from pawl.dead d where d.id = any (p_ids) order by d.id for update
  )
  update pawl.dead d set payload = d.payload || u.fields
    from mine m join unnest(p_ids, p_fields) u (id, fields) on u.id = m.id where d.id = m.id returning d.id
$$;

-- Whether the login, or the role that it has taken, may read payloads in the table too: that of readers may not, and a function that
-- shows them runs as the owner.
create or replace function pawl.may_read_payloads() returns boolean
language sql stable as $$ select has_column_privilege(coalesce(nullif(current_setting('role'), 'none'), session_user), to_regclass('pawl.dead'), 'payload', 'select') $$;

-- Lists dead letters, the latest death first. payload: null if the login may not read it.
create or replace function pawl.dead_v1(p_ids bigint[], p_queue text, p_kind text, p_error text, p_reason text, p_lane text,
  p_limit int)
returns table (id bigint, queue text, kind text, priority smallint, attempt smallint, reason text, created_at timestamptz,
  died_at timestamptz, worker_id int, lane text, is_blocking boolean, payload jsonb, error jsonb)
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  with stream as materialized (
    select st.id from pawl.stream st join pawl.queue q on q.id = st.queue_id
     where (p_queue is not null or p_kind is not null) and (p_queue is null or q.name = p_queue) and (p_kind is null or st.kind = p_kind)
  ), found as materialized (
    -- in one of three ways, each along an index: by id, of some streams, or all
    select d.* from pawl.dead d where d.id = any (p_ids)
    union all
    select l.* from stream s cross join lateral (
      select d.* from pawl.dead d
       where p_ids is null and d.stream_id = s.id and (p_error is null or strpos(d.error ->> 'message', p_error) > 0)
         and (p_reason is null or d.reason = p_reason) and (p_lane is null or d.lane = p_lane)
       order by d.died_at desc, d.id desc limit p_limit) l
    union all
    select l.* from (
      select d.* from pawl.dead d
       where p_ids is null and p_queue is null and p_kind is null and (p_error is null or strpos(d.error ->> 'message', p_error) > 0)
         and (p_reason is null or d.reason = p_reason) and (p_lane is null or d.lane = p_lane)
       order by d.died_at desc, d.id desc limit p_limit) l
  )
  select d.id, q.name, st.kind, d.priority, d.attempt, d.reason, d.created_at, d.died_at, d.worker_id, d.lane,
         d.lane is not null and exists (select 1 from pawl.task t where t.id = d.id and t.state = 'blocked'),
         case when pawl.may_read_payloads() then d.payload end, d.error
    from found d join pawl.stream st on st.id = d.stream_id join pawl.queue q on q.id = st.queue_id
   where (p_queue is null or q.name = p_queue)
     and (p_kind is null or st.kind = p_kind) and (p_error is null or strpos(d.error ->> 'message', p_error) > 0)
     and (p_reason is null or d.reason = p_reason) and (p_lane is null or d.lane = p_lane)
   order by d.died_at desc, d.id desc limit p_limit
$$;

-- Groups dead letters by cause: queue, kind, reason and the beginning of the message without digits.
create or replace function pawl.dead_groups_v1(p_limit int) returns table (queue text, kind text, reason text, error text, tasks bigint,
  blocking bigint, first_died_at timestamptz, last_died_at timestamptz, example bigint)
language sql stable as $$
  select q.name, st.kind, d.reason, left(regexp_replace(coalesce(d.error ->> 'message', ''), '[0-9]+', '#', 'g'), 120),
         count(*), count(t.id), min(d.died_at), max(d.died_at), max(d.id)
    from pawl.dead d join pawl.stream st on st.id = d.stream_id join pawl.queue q on q.id = st.queue_id
    left join pawl.task t on t.id = d.id and t.state = 'blocked'
   group by 1, 2, 3, 4 order by 5 desc, 8 desc limit p_limit
$$;
