-- Removes, with their deliveries, events that were routed more than p_before ago, of the p_limit that follow p_after in
-- number. What a live delivery or a dead letter is about stays, and so does what a running replay has still to look at.
-- looked_to: where to go on; null at the end.
create or replace function pawl.prune_events_v1(p_before interval, p_after bigint, p_limit int, p_is_dry boolean)
returns table (looked_to bigint, events int, deliveries int)
language plpgsql volatile
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  v_numbers bigint[];
  v_ids uuid[];
begin
  perform pawl.require_read_committed();
  perform pg_advisory_xact_lock(hashtextextended('pawl.replay', 0)); -- none makes deliveries meanwhile
  v_numbers := array(select e.number from pawl.event e where e.number > p_after order by e.number limit p_limit);
  if cardinality(v_numbers) = p_limit then looked_to := v_numbers[p_limit]; end if;
  v_ids := array(
    select e.id from pawl.event e
     where e.number = any (v_numbers) and e.routed_at < pawl.now() - p_before
       and not exists (select 1 from pawl.replay r where r.state = 'running' and not r.dead and e.number between r.cursor and r.last)
       and not exists (
         -- offset: each is looked up by its id
         select 1 from pawl.delivery v
           left join lateral (select t.id from pawl.task_live_v1 t where t.id = v.task_id offset 0) l on true
           left join lateral (select d.id from pawl.task_dead_v1 d where d.id = v.task_id offset 0) d on true
          where v.event_id = e.id and (l.id is not null or d.id is not null)));
  if not p_is_dry then
    -- one that is being routed again is left, and seen as it is by then
    v_ids := array(select e.id from pawl.event e where e.id = any (v_ids) and e.routed_at < pawl.now() - p_before
      order by e.id for update skip locked);
  end if;
  events := cardinality(v_ids);
  select count(*) into deliveries from pawl.delivery v where v.event_id = any (v_ids);
  if not p_is_dry then
    delete from pawl.delivery v where v.event_id = any (v_ids);
    delete from pawl.event e where e.id = any (v_ids);
  end if;
  return next;
end $$;
