-- Queues and switches as people see them.

-- Tasks of a scope that run now.
create or replace function pawl.running_of_switch(p_scope text, p_name text) returns int
language sql stable as $$
  select coalesce(sum(r.running), 0)::int
    from (select pawl.running_in(q.id) as running from pawl.queue q where p_scope = 'all' or p_scope = 'queue' and q.name = p_name
          union all
          select pawl.running_of(st.id) from pawl.stream st join pawl.queue q on q.id = st.queue_id
           where p_scope not in ('all', 'queue') and exists (
             select from pawl.held_by(p_scope, p_name) h where pawl.holds_kind(h.scope, h.name, q.name, st.kind))) r
$$;

-- What is off, and how much of it still runs: tasks, work under leases that are not Pawl's own, and batches that are
-- being stored.
create or replace function pawl.switches_v1() returns table (scope text, off_by text, why text, since timestamptz, until timestamptz,
  running int, leases text[], batches int)
language sql stable as $$
  select pawl.scope_text(w.scope, w.name), w.off_by, w.why, w.since, w.until, pawl.running_of_switch(w.scope, w.name),
         array(select l.name from pawl.lease l
           where l.lease_until > pawl.now() and pawl.is_lease_of(l.name, pawl.scopes_in(pawl.scope_text(w.scope, w.name)))
           order by l.name),
         case when w.scope = 'all' then pawl.running_batches() else 0 end
    from pawl.switch w
   where w.until is null or w.until > pawl.now()
   order by 1
$$;

-- Queues as an operator sees them: their options, and what holds them. off_here: the hosts on which a file or a
-- variable holds them.
create or replace function pawl.queues_v1() returns table (queue text, application text, concurrency int, kind_concurrency int,
  rate jsonb, kind_rate jsonb, breaker jsonb, on_dead text, running int, holds jsonb, off_here jsonb, breakers jsonb)
language sql stable as $$
  with running as materialized (
    select s.queue_id, sum(s.tasks)::int as tasks from pawl.running_by_shard() s group by s.queue_id
  ), hold (queue_id, reason, since, until, detail) as materialized (
    select st.queue_id, g.reason, g.since, g.until, g.detail
      from pawl.gate_v1(array(select m.id from pawl.stream m)) g join pawl.stream st on st.id = g.stream_id
    union all -- also where nothing has come yet
    select q.id, 'off', w.since, w.until, jsonb_build_object('scope', pawl.scope_text(w.by_scope, w.by_name), 'by', w.off_by, 'why', w.why)
      from pawl.queue q join pawl.off_now() w on w.scope = 'all' or w.scope = 'queue' and w.name = q.name
  ), held as materialized (
    select g.queue_id, jsonb_agg(distinct jsonb_build_object('reason', g.reason, 'since', g.since, 'until', g.until, 'detail', g.detail)) as holds
      from hold g group by g.queue_id
  ), broken as materialized (
    select st.queue_id, array_agg(st.id) as streams from pawl.breaker b join pawl.stream st on st.id = b.stream_id
     where b.phase <> 'closed' group by st.queue_id
  ), off_here as materialized (
    select w.host, w.off_here from pawl.worker w
     where w.ended_at is null and w.lease_until > pawl.now() and w.off_here <> '{}'
  )
  select q.name, q.application, q.concurrency, q.kind_concurrency, q.rate, q.kind_rate, q.breaker, q.on_dead, coalesce(r.tasks, 0),
         coalesce(h.holds, '[]'),
         coalesce((select jsonb_agg(distinct w.host) from off_here w
           where 'all' = any (w.off_here) or pawl.scope_text('queue', q.name) = any (w.off_here)), '[]'),
         coalesce((select jsonb_agg(to_jsonb(o)) from pawl.breakers_v1(b.streams) o where b.streams is not null), '[]')
    from pawl.queue q
    left join running r on r.queue_id = q.id left join held h on h.queue_id = q.id left join broken b on b.queue_id = q.id
   order by q.id
$$;
