-- History by day, and how long it is kept.

insert into pawl.partitioned (name, part, by_column, unit, ahead) values
  ('finished', 'kernel', 'finished_at', 'day', 7), ('attempt', 'kernel', 'ended_at', 'day', 7)
on conflict (name) do update set by_column = excluded.by_column, unit = excluded.unit, ahead = excluded.ahead;

-- How long history keeps a task, unless its queue says otherwise.
create or replace function pawl.default_keep() returns jsonb
language sql immutable return '{"done_ms": 604800000, "cancelled_ms": 2592000000, "expired_ms": 2592000000, "removed_ms": 2592000000}'::jsonb;

create or replace function pawl.keep_rules() returns table (stream_id int, outcome text, keep interval)
language sql stable as $$
  select st.id, o.outcome, ((pawl.default_keep() || coalesce(jsonb_strip_nulls(q.keep), '{}')) ->> (o.outcome || '_ms'))::bigint * interval '1 ms'
    from pawl.stream st join pawl.queue q on q.id = st.queue_id
    cross join (values ('done'), ('cancelled'), ('expired'), ('removed')) o (outcome)
$$;

-- The partitions of history and what retention does with each: drop it if it is older than the longest retention time; delete
-- from it if the time of some queue ends in it about now, or, if p_is_thorough, ended before. For attempts the
-- longest time counts.
create or replace function pawl.prune_plan_v1(p_is_thorough boolean) returns table (partition text, action text, before timestamptz, pages int)
language plpgsql volatile as $$
declare
  v_longest timestamptz := pawl.now() - (select coalesce(max(k.keep), interval '30 days') from pawl.keep_rules() k);
begin
  return query
  select p.name, case when p.ends <= v_longest then 'drop' else 'delete' end, p.ends,
         (pg_relation_size(p.oid) / current_setting('block_size')::int)::int
    from (select d.*, d.starts + interval '24 hours' as ends
            from (select c.oid, c.relname::text as name, i.inhparent = to_regclass('pawl.finished') as is_finished,
                         to_date(substring(c.relname from '_([0-9]{8})$'), 'YYYYMMDD')::timestamp at time zone 'UTC' as starts
                    from pg_inherits i join pg_class c on c.oid = i.inhrelid
                   where i.inhparent in (to_regclass('pawl.finished'), to_regclass('pawl.attempt'))) d) p
   where p.ends <= v_longest
      or (p.is_finished and pg_relation_size(p.oid) > 0 and (p.starts is null or exists (
        select 1 from pawl.keep_rules() k
         where p.starts + k.keep < pawl.now() and (p_is_thorough or pawl.now() < p.ends + k.keep + interval '2 days'))))
   order by p.ends nulls last, p.name;
end $$;

-- Drops a partition; gives up after 2 s if a long query runs, and is tried again next time.
create or replace function pawl.drop_partition_v1(p_partition text) returns void
language plpgsql volatile
set lock_timeout = '2s' as $$
begin
  if p_partition !~ '^(finished|attempt)_[0-9]{8}$' then
    raise exception 'no partition of history: "%"', left(p_partition, 100) using errcode = 'PW010', hint = 'see pawl prune --dry-run';
  end if;
  execute format('drop table if exists pawl.%I', p_partition);
end $$;

-- Deletes, or only counts, the rows of these pages of a partition whose time is over.
create or replace function pawl.prune_rows_v1(p_partition text, p_page int, p_pages int, p_is_dry boolean) returns int
language plpgsql volatile
set jit = off as $$
declare
  v_count int;
begin
  if p_partition !~ '^finished_([0-9]{8}|default)$' then
    raise exception 'no partition of history: "%"', left(p_partition, 100) using errcode = 'PW010', hint = 'see pawl prune --dry-run';
  end if;
  if p_is_dry then
    execute format('select count(*) from pawl.%I f join pawl.keep_rules() k on k.stream_id = f.stream_id and k.outcome = f.outcome
       where f.ctid >= %L and f.ctid < %L and f.finished_at < pawl.now() - k.keep',
      p_partition, format('(%s,0)', p_page), format('(%s,0)', p_page + p_pages)) into v_count;
  else
    execute format('delete from pawl.%I f using pawl.keep_rules() k where k.stream_id = f.stream_id and k.outcome = f.outcome
       and f.ctid >= %L and f.ctid < %L and f.finished_at < pawl.now() - k.keep',
      p_partition, format('(%s,0)', p_page), format('(%s,0)', p_page + p_pages));
    get diagnostics v_count = row_count;
  end if;
  return v_count;
end $$;

-- Deletes from small tables without partitions: workers that ended, minutes of rates, switches whose end has passed, and
-- attempts that a moved clock left in no partition.
create or replace function pawl.tidy_v1() returns void
language sql volatile as $$
  delete from pawl.worker w where w.ended_at < pawl.now() - interval '7 days'
     and not exists (select 1 from pawl.claim c where c.worker_id = w.id);
  delete from pawl.tally y where y.minute < pawl.now() - interval '1 day';
  delete from pawl.awaited a where a.until < pawl.now();
  delete from pawl.switch w where w.until < pawl.now();
  delete from pawl.attempt_default a
   where a.ended_at < pawl.now() - (select coalesce(max(k.keep), interval '30 days') from pawl.keep_rules() k);
$$;
