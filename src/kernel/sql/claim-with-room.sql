-- The quick way through limits per key: most claims meet only keys that have room, and then nothing has to be judged one by one.

-- Claims the next tasks of a shard and counts their starts, if each of their keys has room for all of them and none has tasks that were set
-- aside. Otherwise does nothing and returns no row: pawl.next_of_keys judges them. The caller holds the queue's limits and the shard.
-- crowded, hasty, behind: keys that have no room, start too fast, or have tasks that were set aside.
create or replace function pawl.claim_with_room(p_worker int, p_claim bigint, p_shard pawl.shard, p_limit int)
returns table (id bigint, seq bigint, attempt smallint, payload jsonb, meta jsonb, ref text, created_at timestamptz, is_expired boolean,
  is_laned boolean)
language plpgsql volatile as $$ -- its plans are pinned by the turn
#variable_conflict use_column
declare
  v_limit pawl.queue_limit;
begin
  select l.* into v_limit from pawl.queue_limit l where l.queue_id = p_shard.queue_id;
  return query
  with next as materialized (
    select t.id, t.seq, t.attempt, t.payload, t.meta, t.ref, t.created_at, t.expires_at, t.lane is not null as is_laned, t.limit_key as key
      from pawl.task t
     where t.shard_id = p_shard.id and t.state = 'ready' and t.seq > p_shard.cursor
     order by t.seq limit case when p_shard.solo then 1 else p_limit end
  ), wanted as materialized (
    select n.key, count(*)::int as tasks from next n where n.key is not null group by n.key
  ), clock as materialized ( -- after the snapshot, so after the end of the tasks that made room
    select pawl.clock_now() as at
  ), crowded as materialized ( -- counts what claims name, settled or not: never too few
    select k.key
      from (select w.key, w.tasks, true as is_wanted from wanted w where v_limit.key_concurrency is not null
            union all
            select u.key, 1, false from pawl.claim c cross join lateral unnest(c.limit_keys) u (key)
             where v_limit.key_concurrency is not null and c.queue_id = p_shard.queue_id) k
     group by k.key having bool_or(k.is_wanted) and sum(k.tasks) > v_limit.key_concurrency
  ), paced as materialized (
    select w.key, w.tasks, p.place, p.tat from wanted w
      left join lateral (
        select o.ctid as place, o.tat from pawl.key_pace o where o.queue_id = p_shard.queue_id and o.key = w.key offset 0) p on true
     where v_limit.key_gap is not null
  ), hasty as materialized ( -- as pawl.starts_left
    select p.key from paced p cross join clock c
     where greatest(p.tat, c.at) + p.tasks * v_limit.key_gap > c.at + v_limit.key_burst * v_limit.key_gap
  ), behind as materialized (
    select w.key from wanted w
      cross join lateral (
        select t.queue_id, t.limit_key from pawl.task t
         where t.state = 'limited' and (t.queue_id, t.limit_key, t.shard_id, t.id) >= (p_shard.queue_id, w.key, 0, 0)
         order by t.queue_id, t.limit_key, t.shard_id, t.id limit 1) n
     where n.queue_id = p_shard.queue_id and n.limit_key = w.key and exists (select 1 from pawl.task t where t.state = 'limited')
  ), batch as materialized (
    select array_agg(n.seq) as seqs, array_agg(n.key) as keys, max(n.seq) as last from next n
     where not exists (select from crowded) and not exists (select from hasty) and not exists (select from behind)
    having count(*) > 0
  ), moved as (
    update pawl.shard s set cursor = b.last from batch b where s.id = p_shard.id
  ), counted as (
    update pawl.key_pace k set tat = greatest(k.tat, c.at) + p.tasks * v_limit.key_gap, due_at = null
      from paced p cross join clock c
     where k.ctid = p.place and exists (select from batch)
    returning k.key
  ), counted_late as ( -- keys that had no row, and those whose row somebody has moved or removed meanwhile
    insert into pawl.key_pace as k (queue_id, key, tat)
    select p_shard.queue_id, m.key, c.at + m.tasks * v_limit.key_gap
      from (select u.key, sum(u.tasks)::int as tasks
              from (select p.key, p.tasks, false as is_counted from paced p union all select d.key, 0, true from counted d) u
             group by u.key having not bool_or(u.is_counted)) m cross join clock c
     where exists (select from batch) and (select count(*) from counted) < (select count(*) from paced)
    on conflict (queue_id, key) do update set tat = greatest(k.tat, (select c.at from clock c)) + (excluded.tat - (select c.at from clock c)), due_at = null
  ), made as (
    insert into pawl.claim (worker_id, no, shard_id, stream_id, queue_id, priority, solo, claimed_at, seqs, limit_keys)
    select p_worker, p_claim, p_shard.id, p_shard.stream_id, p_shard.queue_id, p_shard.priority, p_shard.solo, c.at, b.seqs, b.keys
      from batch b cross join clock c
  )
  select n.id, n.seq, n.attempt, n.payload, n.meta, n.ref, n.created_at, n.expires_at <= c.at, n.is_laned
    from next n cross join clock c where exists (select from batch);
end $$;
