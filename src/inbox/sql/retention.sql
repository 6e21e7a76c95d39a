-- The log of windows by month, and how long it and the ids of stored events are kept.

insert into pawl.partitioned (name, part, by_column, unit, ahead) values
  ('source_window', 'inbox', 'reserved_at', 'month', 2), ('source_window_archive', 'inbox', 'reserved_at', 'month', 2)
on conflict (name) do update set by_column = excluded.by_column, unit = excluded.unit, ahead = excluded.ahead;

-- Removes windows whose time is over: those that ended well (done, empty) after p_done, the others after p_failed; never a source's
-- current one. Archiving copies in the statement that deletes.
create or replace function pawl.prune_windows_v1(p_done interval, p_failed interval, p_archive boolean, p_is_dry boolean, p_limit int) returns int
language plpgsql volatile
set jit = off as $$
declare
  v_ids bigint[];
  v_copied int;
  v_gone int;
begin
  select array_agg(x.id) into v_ids from (
    select w.id from pawl.source_window w
     where w.ended_at < pawl.now() - case when w.state in ('done', 'empty') then p_done else p_failed end
       and not exists (select 1 from pawl.source s where s.window_id = w.id)
     limit case when p_is_dry then null else p_limit end) x;
  if p_is_dry or v_ids is null then return coalesce(cardinality(v_ids), 0); end if;
  with gone as (
    delete from pawl.source_window w where w.id = any (v_ids) returning w.*
  ), kept as (
    insert into pawl.source_window_archive select g.*, pawl.now() from gone g where p_archive returning 1
  )
  select (select count(*) from gone), (select count(*) from kept) into v_gone, v_copied;
  if p_archive and v_copied <> v_gone then
    raise exception 'archiving windows: % of % were copied', v_copied, v_gone using errcode = 'PW010', hint = 'nothing was deleted';
  end if;
  return v_gone;
end $$;

-- Drops a past month of the log that has no rows any more; gives up after 2 s if a long query runs.
create or replace function pawl.drop_empty_windows_v1() returns text[]
language plpgsql volatile
set lock_timeout = '2s' as $$
declare
  v_name text;
  v_there boolean;
  v_dropped text[] := '{}';
begin
  for v_name in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = to_regclass('pawl.source_window') and c.relname ~ '^source_window_[0-9]{6}$'
       and substring(c.relname from '[0-9]{6}$') < to_char(pawl.now() at time zone 'UTC', 'YYYYMM')
     order by 1
  loop
    execute format('select exists (select 1 from pawl.%I)', v_name) into v_there;
    continue when v_there;
    -- in the same order as writers: the other order would deadlock with them
    execute format('lock table only pawl.source_window, pawl.%I in access exclusive mode', v_name);
    execute format('select exists (select 1 from pawl.%I)', v_name) into v_there;
    continue when v_there;
    execute format('drop table pawl.%I', v_name);
    v_dropped := v_dropped || v_name;
  end loop;
  return v_dropped;
end $$;

create or replace function pawl.prune_seen_v1(p_before interval, p_is_dry boolean, p_limit int) returns int
language plpgsql volatile as $$
declare
  v_count int;
begin
  if p_is_dry then
    select count(*) into v_count from pawl.inbox_seen z where z.seen_at < pawl.now() - p_before;
  else
    delete from pawl.inbox_seen z using (
      select y.source_id, y.event_id from pawl.inbox_seen y where y.seen_at < pawl.now() - p_before limit p_limit) o
     where z.source_id = o.source_id and z.event_id = o.event_id;
    get diagnostics v_count = row_count;
  end if;
  return v_count;
end $$;
