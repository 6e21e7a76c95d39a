-- Dead letters: lists, and what operators do with them.

-- Dead letters go back to their queue with the same id, a fresh budget and their history: retried, or duplicate when a
-- live task has taken the key, and then it stays dead. One that blocks its lane becomes its head again; one whose lane
-- went on without it arrives anew, and its age puts it before what waits; before a head that is parked, too, which may wait for this very task. An expiry that has passed is lifted.
create or replace function pawl.retry_dead_v1(p_ids bigint[], p_by text, p_why text, p_action text default null)
returns table (id bigint, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_dead pawl.dead;
  v_head pawl.task;
  v_queue int;
  v_retried bigint[] := '{}';
  v_duplicates bigint[] := '{}';
begin
  perform pg_current_xact_id(); -- before the first seq
  -- each kind of lock in one order, as others take them: dead letters by id, keys as enqueue does, heads of lanes by id
  perform from pawl.dead d where d.id = any (p_ids) order by d.id for update;
  for v_dead in
    select d.* from pawl.dead d where d.id = any (p_ids) order by d.key collate "C" nulls first, d.id
  loop
    select st.queue_id into v_queue from pawl.stream st where st.id = v_dead.stream_id;
    delete from pawl.task t where t.id = v_dead.id and t.state = 'blocked' returning t.* into v_head;
    insert into pawl.task as t (id, shard_id, queue_id, seq, state, run_at, created_at, expires_at, max_attempts, payload, meta, ref,
      last_error, lane, key, limit_key, losses, is_watched)
    values (v_dead.id, (pawl.shards_of(v_dead.stream_id, v_dead.priority, v_dead.reason = 'crashed'))[1], v_queue,
      nextval('pawl.seq'), case when v_dead.lane is not null and v_head.id is null then 'arrived' else 'ready' end,
      pawl.now(), v_dead.created_at, case when v_dead.expires_at > pawl.now() then v_dead.expires_at end,
      v_dead.max_attempts, v_dead.payload, v_dead.meta, v_dead.ref, v_dead.error, v_dead.lane, v_dead.key,
      v_dead.limit_key,
      (v_dead.reason = 'crashed')::int, -- still suspected
      v_dead.is_watched)
    on conflict (queue_id, key) where key is not null do nothing;
    if not found then
      insert into pawl.task select (v_head).* where v_head.id is not null;
      v_duplicates := v_duplicates || v_dead.id;
      continue;
    end if;
    delete from pawl.dead d where d.id = v_dead.id;
    insert into pawl.attempt (task_id, seq, attempt, outcome, worker_id, started_at, ended_at, error)
    values (v_dead.id, v_dead.seq, v_dead.attempt, 'dead', v_dead.worker_id, v_dead.started_at, v_dead.died_at, v_dead.error);
    v_retried := v_retried || v_dead.id;
  end loop;
  perform pawl.go_before_parked(v_retried);
  perform pawl.audit_v1(p_by, coalesce(p_action, 'dead.retry'), 'task:' || u.id, p_why, null) from unnest(v_retried) u (id) order by u.id;
  perform pawl.wake_v1();
  return query
  select u.id, u.outcome from (select unnest(v_retried) as id, 'retried' as outcome union all select unnest(v_duplicates), 'duplicate') u order by u.id;
end $$;

-- A dead letter ends as removed, and a new task takes its place with another payload: its meta names it as "origin", and the result of
-- the old one says what it was retried as. Head of the lane again if it blocked it. No row: it is not dead. outcome: retried; duplicate: a
-- live task has the key; watched: a task waits for the end of this very one. Both change nothing.
create or replace function pawl.retry_dead_as_v1(p_id bigint, p_payload jsonb, p_key text, p_lane text, p_limit_key text,
  p_by text, p_why text)
returns table (outcome text, id bigint)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_dead pawl.dead;
  v_stream pawl.stream;
  v_head pawl.task;
  v_id bigint;
begin
  perform pg_current_xact_id(); -- before the first seq
  select d.* into v_dead from pawl.dead d where d.id = p_id for update;
  if not found then return; end if;
  if pawl.is_waited_for(p_id) then
    return query select 'watched', p_id;
    return;
  end if;
  perform pawl.check_payloads(jsonb_build_array(p_payload), null);
  select st.* into v_stream from pawl.stream st where st.id = v_dead.stream_id;
  delete from pawl.task t where t.id = p_id and t.state = 'blocked' returning t.* into v_head;
  insert into pawl.task as t (shard_id, queue_id, seq, state, run_at, created_at, expires_at, max_attempts, payload, meta, ref, lane, key, limit_key)
  values ((pawl.shards_of(v_dead.stream_id, v_dead.priority, false))[1], v_stream.queue_id, nextval('pawl.seq'),
    case when p_lane is null or v_head.lane = p_lane then 'ready' else 'arrived' end, pawl.now(), pawl.now(),
    case when v_dead.expires_at > pawl.now() then v_dead.expires_at end, v_dead.max_attempts, p_payload,
    coalesce(v_dead.meta, '{}') || jsonb_build_object('origin', 'task:' || p_id), v_dead.ref, p_lane, pawl.full_key(v_stream.kind, p_key), p_limit_key)
  on conflict (queue_id, key) where key is not null do nothing returning t.id into v_id;
  if v_id is null then
    insert into pawl.task select (v_head).* where v_head.id is not null;
    return query select 'duplicate', p_id;
    return;
  end if;
  if v_head.lane <> coalesce(p_lane, '') then perform pawl.promote_lanes_v1(array[v_head.queue_id], array[v_head.lane]); end if;
  delete from pawl.dead d where d.id = p_id;
  insert into pawl.finished (id, seq, stream_id, worker_id, priority, attempt, outcome, created_at, run_at, started_at, finished_at,
    payload, meta, ref, lane, key, result, error)
  values (p_id, v_dead.seq, v_dead.stream_id, v_dead.worker_id, v_dead.priority, v_dead.attempt, 'removed', v_dead.created_at, v_dead.run_at,
    v_dead.started_at, pawl.now(), v_dead.payload, v_dead.meta, v_dead.ref, v_dead.lane, v_dead.key, jsonb_build_object('retriedAs', v_id::text), v_dead.error);
  perform pawl.audit_v1(p_by, 'dead.retry', 'task:' || p_id, p_why, jsonb_build_object('as', v_id::text));
  perform pawl.audit_v1(p_by, 'dead.retry', 'task:' || v_id, p_why, jsonb_build_object('origin', p_id::text));
  perform pawl.wake_v1(array[v_dead.stream_id]);
  return query select 'retried', v_id;
end $$;

-- What a retry with another payload has to know of a dead letter besides its row in lists.
create or replace function pawl.dead_to_edit_v1(p_id bigint, out limit_key text, out is_waited_for boolean) returns setof record
language sql stable as $$ select d.limit_key, pawl.is_waited_for(d.id) from pawl.dead d where d.id = p_id $$;

-- Removes dead letters: they go to history as removed, and lanes that they blocked go on.
create or replace function pawl.remove_dead_v1(p_ids bigint[], p_by text, p_why text, p_action text default null)
returns table (id bigint, outcome text)
language plpgsql volatile as $$
#variable_conflict use_column
declare
  v_gone bigint[];
  v_watched bigint[];
  v_queues int[];
  v_lanes text[];
begin
  perform from pawl.dead d where d.id = any (p_ids) order by d.id for update; -- as all that change them lock them
  with gone as (
    delete from pawl.dead d where d.id = any (p_ids) returning d.*
  ), kept as (
    insert into pawl.finished (id, seq, stream_id, worker_id, priority, attempt, outcome, created_at, run_at, started_at,
      finished_at, payload, meta, ref, lane, key, error)
    select g.id, g.seq, g.stream_id, g.worker_id, g.priority, g.attempt, 'removed', g.created_at, g.run_at, g.started_at,
           pawl.now(), g.payload, g.meta, g.ref, g.lane, g.key, g.error from gone g
  )
  select array_agg(g.id order by g.id), array_agg(g.id) filter (where g.is_watched) into v_gone, v_watched from gone g;
  with freed as (
    delete from pawl.task t where t.id = any (v_gone) and t.state = 'blocked' returning t.queue_id, t.lane
  )
  select array_agg(f.queue_id), array_agg(f.lane) into v_queues, v_lanes from freed f;
  if v_lanes is not null then perform pawl.promote_lanes_v1(v_queues, v_lanes); end if;
  if v_watched is not null then perform pawl.tell_ends(v_watched); end if;
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

-- Lists dead letters, the latest death first. payload: null if the login may not read it. With terms about rows it reads up to p_look; a
-- last row without an id: older ones were not read.
create or replace function pawl.dead_v1(p_filter jsonb, p_limit int, p_look int)
returns table (id bigint, queue text, kind text, priority smallint, attempt smallint, reason text, created_at timestamptz,
  died_at timestamptz, worker_id int, lane text, is_blocking boolean, payload jsonb, error jsonb)
language sql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
  with checked as materialized (select pawl.checked_filter(p_filter) as filter
  ), stream as materialized (
    select st.id from pawl.stream st join pawl.queue q on q.id = st.queue_id
     where p_filter -> 'streams' <> '[]' and pawl.fits_stream(p_filter, q.name, st.kind)
  ), most as materialized (
    select pawl.rows_to_read(p_filter, p_limit, p_look) as n, coalesce(pawl.filter_time(p_filter ->> 'since'), '-infinity') as since
  ), read as materialized (
    -- in one of three ways, each along an index: by id, of some streams, or all
    select d.*, 0 as place
      from (select distinct v::bigint as id from jsonb_array_elements_text(p_filter -> 'ids') v) v join pawl.dead d on d.id = v.id
    union all
    select l.*, s.id from stream s cross join lateral (
      select d.* from pawl.dead d
       where not p_filter ? 'ids' and d.stream_id = s.id and d.died_at >= (select since from most)
       order by d.died_at desc, d.id desc limit (select n from most)) l
    union all
    select l.*, 0 from (
      select d.* from pawl.dead d
       where not p_filter ? 'ids' and p_filter -> 'streams' = '[]' and d.died_at >= (select since from most)
       order by d.died_at desc, d.id desc limit (select n from most)) l
  ), shown as (
    select d.*, q.name as queue, st.kind
      from read d join pawl.stream st on st.id = d.stream_id join pawl.queue q on q.id = st.queue_id
     where pawl.fits_stream(p_filter, q.name, st.kind)
       and pawl.fits_row((select c.filter from checked c), d.id, d.priority, d.attempt, d.reason, d.lane, substr(d.key, length(st.kind) + 2), d.worker_id,
             d.created_at, d.died_at, d.error, d.payload, d.meta)
     order by d.died_at desc, d.id desc limit p_limit
  )
  (select d.id, d.queue, d.kind, d.priority, d.attempt, d.reason, d.created_at, d.died_at, d.worker_id, d.lane,
          d.lane is not null and exists (select 1 from pawl.task t where t.id = d.id and t.state = 'blocked'),
          case when pawl.may_read_payloads() then d.payload end, d.error
     from shown d order by d.died_at desc, d.id desc)
  union all
  select null, null, null, null, null, null, null, null, null, null, null, null, null
   where p_filter -> 'rows' <> '[]' and not p_filter ? 'ids' and (select count(*) from shown) < p_limit
     and exists (select from read r group by r.place having count(*) >= (select n from most))
$$;

-- The ids of dead letters that fit, after p_after and up to p_last, in the order of their ids.
create or replace function pawl.dead_fitting(p_filter jsonb, p_after bigint, p_last bigint, p_limit int) returns setof bigint
language sql stable as $$
  with c as materialized (select pawl.checked_filter(p_filter) as filter)
  select d.id from pawl.dead d join pawl.stream st on st.id = d.stream_id join pawl.queue q on q.id = st.queue_id
   where d.id > p_after and d.id <= p_last and pawl.fits_stream(p_filter, q.name, st.kind)
     and pawl.fits_row((select c.filter from c), d.id, d.priority, d.attempt, d.reason, d.lane, substr(d.key, length(st.kind) + 2), d.worker_id,
           d.created_at, d.died_at, d.error, d.payload, d.meta)
   order by d.id limit p_limit
$$;

create or replace function pawl.dead_ids_v1(p_filter jsonb, p_after bigint, p_last bigint, p_limit int) returns setof bigint
language sql stable as $$ select * from pawl.dead_fitting(p_filter, p_after, p_last, p_limit) $$;

create or replace function pawl.dead_count_v1(p_filter jsonb, out count bigint, out last bigint)
language sql stable as $$
  select count(*), coalesce(max(f.id), 0) from pawl.dead_fitting(p_filter, 0, 9223372036854775807, null) f (id)
$$;

-- Groups dead letters by cause: queue, kind, reason and the beginning of the message without digits.
create or replace function pawl.dead_groups_v1(p_filter jsonb, p_limit int) returns table (queue text, kind text, reason text, error text, tasks bigint,
  blocking bigint, first_died_at timestamptz, last_died_at timestamptz, example bigint)
language sql stable as $$
  with c as materialized (select pawl.checked_filter(p_filter) as filter)
  select q.name, st.kind, d.reason, left(regexp_replace(coalesce(d.error ->> 'message', ''), '[0-9]+', '#', 'g'), 120),
         count(*), count(t.id), min(d.died_at), max(d.died_at), max(d.id)
    from pawl.dead d join pawl.stream st on st.id = d.stream_id join pawl.queue q on q.id = st.queue_id
    left join pawl.task t on t.id = d.id and t.state = 'blocked'
   where pawl.fits_stream(p_filter, q.name, st.kind)
     and pawl.fits_row((select c.filter from c), d.id, d.priority, d.attempt, d.reason, d.lane, substr(d.key, length(st.kind) + 2), d.worker_id,
           d.created_at, d.died_at, d.error, d.payload, d.meta)
   group by 1, 2, 3, 4 order by 5 desc, 8 desc limit p_limit
$$;
