-- How a source looks to people: every list, `why` and chart reads it here.

-- One row per source. status: the first that is true of held | paused | off | retrying | full | loading, else waiting.
-- requested: the cursor of the next window. stored: everything up to it is stored or set aside. backlog: events that wait to be
-- stored. per_minute: events of the windows that ended in the last minute. failed_at: when the current window failed
-- last. next_cursor: where `skip` goes on. waiting_*: the first event that waits to be stored; set_aside_*: the first that
-- was set aside. loaders, movers: live workers that load and store it; *_off_here: those that a file or a variable of their
-- host holds. paused_*: its own switch; off_*: that of all, or of a group.
create or replace view pawl.source_now_v1 as
  select s.name, s.type, s.application,
         case when s.state = 'held' then 'held' when p.since is not null then 'paused' when o.since is not null then 'off'
              when s.failures > 0 then 'retrying' when s.is_full then 'full'
              when l.lease_until > pawl.now() then 'loading' else 'waiting' end as status,
         s.cursor_kind, s.is_push, s.requested, t.stored, s.received - t.taken as backlog, t.set_aside, s.received, t.stored_count,
         s.duplicates + t.duplicates as duplicates, s.lag,
         (select coalesce(sum(m.events), 0)::bigint from (select n.events, n.ended_at from pawl.source_window n
            where n.source_id = s.id order by n.id desc limit 5000) m where m.ended_at > pawl.now() - interval '1 minute') as per_minute,
         s.high_water, s.low_water, s.failures, coalesce(s.held_error, s.last_error) as error, s.held_fault, s.held_at,
         p.since as paused_at, p.off_by as paused_by, p.why as paused_why, p.until as paused_until,
         nullif(s.next_at, '-infinity') as next_at, s.last_fetch_at, s.last_event_at,
         t.last_stored_at, t.failures as storing_failures, t.error as storing_error,
         nullif(t.next_at, '-infinity') as storing_next_at, w.id as window_id, w.state as window_state,
         exists (select 1 from pawl.source_page g where g.window_id = w.id) as has_page,
         case when l.lease_until > pawl.now() then l.owner end as loader,
         case when l.lease_until > pawl.now() then l.taken_at end as loading_since, s.config,
         k.loaders, k.loaders_off_here, k.movers, k.movers_off_here, k.hosts_off_here,
         o.since as off_since, o.until as off_until, o.off_by, o.why as off_why,
         case when w.fault is not null then w.ended_at end as failed_at, nullif(w.next_cursor, s.requested) as next_cursor,
         b.received_at as waiting_since, b.attempts as waiting_attempts, b.next_at as waiting_next_at, b.error as waiting_error,
         a.failed_at as set_aside_since, a.error as set_aside_error, pawl.now() as now, o.quiet_hours, o.switch as off_switch
    from pawl.source s
    join pawl.source_storage t on t.source_id = s.id
    left join pawl.switch p on p.scope = 'source' and p.name = s.name and (p.until is null or p.until > pawl.now())
    left join lateral pawl.hold_of_all_v1('source', s.name) o on true
    left join pawl.lease l on l.name = 'source:' || s.name
    left join pawl.source_window w on w.id = s.window_id and w.reserved_at = s.window_at
    left join lateral (select i.received_at, i.attempts, i.next_at, i.error from pawl.inbox i
      where i.source_id = s.id and i.state = 'ready' and i.number >= t.floor order by i.number limit 1) b on true
    left join lateral (select i.failed_at, i.error from pawl.inbox i
      where i.source_id = s.id and i.state <> 'ready' order by i.number limit 1) a on true
    cross join lateral (
      select count(*) filter (where v.loads)::int as loaders, count(*) filter (where v.loads and v.loads_not)::int as loaders_off_here,
             count(*) filter (where v.stores)::int as movers, count(*) filter (where v.stores and v.all_off)::int as movers_off_here,
             array_agg(distinct v.host order by v.host) filter (where v.loads and v.loads_not or v.stores and v.all_off) as hosts_off_here
        from (select r.host, 'source:' || s.name = any (r.serves) as loads, 'inbox:' || s.name = any (r.serves) as stores,
                     'all' = any (r.off_here) as all_off, array['all', 'source:' || s.name] && r.off_here as loads_not
                from pawl.worker r
               where r.ended_at is null and r.lease_until > pawl.now() and r.stop_requested_at is null) v) k;
