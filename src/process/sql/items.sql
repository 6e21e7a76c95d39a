-- Items of `each` steps.

-- Records what became of items, of many runs at once: [{"id", "seq", "claim", "no", "item", "outcome", "round", "attempt", "delay_ms", "output",
-- "error"}]. Answers the runs that are no longer this worker's; of them nothing is recorded.
create or replace function pawl.record_items_v1(p_worker int, p_items jsonb) returns setof bigint
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_now timestamptz := pawl.now();
  v_mine bigint[];
begin
  select pawl.still_mine(p_worker, array_agg(d.id), array_agg(d.seq), array_agg(d.claim), '{}') into v_mine
    from (select distinct i.id, i.seq, i.claim from jsonb_to_recordset(p_items) i (id bigint, seq bigint, claim bigint)) d;
  insert into pawl.process_item as i (run_id, no, item, outcome, round, attempt, due_at, output, error, ended_at)
  select d.id, d.no, d.item, d.outcome, d.round, d.attempt, v_now + d.delay_ms * interval '1 ms', e.one -> 'output', d.error, v_now
    from jsonb_array_elements(p_items) e (one)
    cross join lateral jsonb_to_record(e.one) d (id bigint, seq bigint, no int, item int, outcome text, round int, attempt int,
      delay_ms bigint, error jsonb)
   where d.seq = any (v_mine)
  on conflict (run_id, no, item) do update
     set outcome = excluded.outcome, round = excluded.round, attempt = excluded.attempt, due_at = excluded.due_at, output = excluded.output,
         error = excluded.error, ended_at = excluded.ended_at
   where (excluded.round, excluded.attempt) >= (i.round, i.attempt); -- an earlier try whose answer was lost may come late
  return query
  select distinct d.id from jsonb_to_recordset(p_items) d (id bigint, seq bigint) where not d.seq = any (v_mine);
end $$;

-- How far the items of a list are, without what they returned.
create or replace function pawl.load_items_v1(p_id bigint, p_no int) returns table (item int, outcome text, round int, attempt int, left_ms float8)
language sql stable as $$
  select i.item, i.outcome, i.round, i.attempt, extract(epoch from i.due_at - pawl.now())::float8 * 1000
    from pawl.process_item i where i.run_id = p_id and i.no = p_no order by i.item
$$;

-- What the items of a list came to; no row if that is more than p_bytes, or there is none.
create or replace function pawl.item_results_v1(p_id bigint, p_no int, p_bytes int) returns table (item int, outcome text, output jsonb, error text)
language sql stable as $$
  select i.item, i.outcome, i.output, left(i.error ->> 'message', 500) from pawl.process_item i
   where i.run_id = p_id and i.no = p_no
     and p_bytes >= (select coalesce(sum(octet_length(o.output::text)), 0) from pawl.process_item o where o.run_id = p_id and o.no = p_no)
   order by i.item
$$;

-- How many items of a run's lists have ended, by the row of the list.
create or replace function pawl.count_items_v1(p_id bigint) returns table (no int, done int, failed int)
language sql stable as $$
  select i.no, (count(*) filter (where i.outcome = 'done'))::int, (count(*) filter (where i.outcome = 'failed'))::int
    from pawl.process_item i where i.run_id = p_id group by i.no
$$;
