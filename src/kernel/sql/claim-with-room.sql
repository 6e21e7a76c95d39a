-- The quick way through limits per key: most claims meet only keys that have room, and then nothing has to be judged one by one.

-- Claims the next tasks of a shard and counts their starts, if each of their keys has room for all of them and none has tasks that were set
-- aside. Otherwise does nothing and returns no row: pawl.next_of_keys judges them. The caller holds the queue's limits and the shard.
create or replace function pawl.claim_with_room(p_worker int, p_claim bigint, p_shard pawl.shard, p_limit int)
returns table (id bigint, seq bigint, attempt smallint, payload jsonb, meta jsonb, ref text, created_at timestamptz, is_expired boolean,
  is_laned boolean)
language plpgsql volatile as $$ -- its plans are pinned by the turn
#variable_conflict use_column
declare
  c_brief constant interval := '25 ms';
  v_limit pawl.queue_limit;
  v_are_aside boolean := exists (select 1 from pawl.task t where t.state = 'limited');
  v_claimed bigint; -- no key has more; null: they have to be counted
begin
  select l.* into v_limit from pawl.queue_limit l where l.queue_id = p_shard.queue_id;
  if v_limit.key_concurrency is not null then
    select sum(coalesce(c.same_key_max, cardinality(c.seqs))) into v_claimed from pawl.claim c where c.queue_id = p_shard.queue_id;
    v_claimed := case when coalesce(v_claimed, 0) <= v_limit.key_concurrency / 2 then coalesce(v_claimed, 0) end;
  end if;
  return query
  with next as materialized ( -- first what is read most
    select t.limit_key as key, t.seq, t.id, t.attempt, t.created_at, t.expires_at, t.lane is not null as is_laned, t.payload, t.meta, t.ref
      from pawl.task t
     where t.shard_id = p_shard.id and t.state = 'ready' and t.seq > p_shard.cursor
     order by t.seq limit case when p_shard.solo then 1 else p_limit end
  ), clock as materialized ( -- after the snapshot, so after the end of the tasks that made room
    select pawl.clock_now() as at
  ), met as materialized ( -- each key of the batch once. claimed: what claims name, settled or not: never too few
    select k.key, sum(k.wanted)::int as tasks, sum(k.claimed) as claimed, max(k.tat) as tat
      from (select n.key, 1 as wanted, 0 as claimed, null::timestamptz as tat from next n where n.key is not null
            union all
            select unnest(c.limit_keys), 0, 1, null from pawl.claim c
             where v_limit.key_concurrency is not null and v_claimed is null and c.queue_id = p_shard.queue_id
            union all
            select b.key, 0, 0, b.tat from clock c cross join lateral pawl.brief_paces(p_shard.queue_id, c.at) b
             where v_limit.key_gap is not null) k
     group by k.key having sum(k.wanted) > 0
  ), paced as materialized ( -- tat: after the starts
    select m.key, p.place, greatest(m.tat, p.tat, c.at) + m.tasks * v_limit.key_gap as tat, c.at
      from met m cross join clock c
      left join lateral (
        select o.ctid as place, o.tat from pawl.key_pace o
         where v_limit.paced_until > c.at and o.queue_id = p_shard.queue_id and o.key = m.key offset 0) p on true
     where v_limit.key_gap is not null
  ), batch as materialized (
    select array_agg(n.seq) as seqs, array_agg(n.key) as keys, max(n.seq) as last from next n
     where not exists (select from met m where coalesce(v_claimed, m.claimed) + m.tasks > v_limit.key_concurrency)
       and not exists (select from paced p where p.tat > p.at + v_limit.key_burst * v_limit.key_gap) -- as pawl.starts_left
       and not (v_are_aside and exists (select from pawl.keys_set_aside(array_fill(p_shard.queue_id, array[(select count(*)::int from met)]),
         (select array_agg(m.key) from met m))))
    having count(*) > 0
  ), moved as (
    update pawl.shard s set cursor = b.last from batch b where s.id = p_shard.id
  ), noted as (
    insert into pawl.brief_key_pace (queue_id, until, keys, tats)
    select p_shard.queue_id, max(p.tat), array_agg(p.key), array_agg(p.tat) from paced p
     where p.tat <= p.at + c_brief and exists (select from batch) having count(*) > 0
  ), long as materialized (
    select pawl.note_long_paces(p_shard.queue_id, array_agg(p.place), array_agg(p.key), array_agg(p.tat)) from paced p
     where p.tat > p.at + c_brief and exists (select from batch) having count(*) > 0
  ), made as (
    insert into pawl.claim (worker_id, no, shard_id, stream_id, queue_id, priority, solo, claimed_at, seqs, limit_keys,
      same_key_max)
    select p_worker, p_claim, p_shard.id, p_shard.stream_id, p_shard.queue_id, p_shard.priority, p_shard.solo, c.at, b.seqs, b.keys,
           (select coalesce(max(m.tasks), 0) from met m)
      from batch b cross join clock c where (select count(*) from long) >= 0 -- so that it is read
  )
  select n.id, n.seq, n.attempt, n.payload, n.meta, n.ref, n.created_at, n.expires_at <= c.at, n.is_laned
    from next n cross join clock c where exists (select from batch);
end $$;
