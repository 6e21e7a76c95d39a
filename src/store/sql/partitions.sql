-- Partitions by day or month, of the tables that parts name in pawl.partitioned.

-- Makes those of a part that are missing, from the current one to p_ahead, or as far as each table says; in the order in which rows
-- are written to them. Answers their names; none while somebody else is at it. Made by LIKE and attached, so that the parent stays usable; it gives up after 2 s
-- behind a long query, and is tried again.
create or replace function pawl.make_missing_partitions_v1(p_part text, p_ahead int) returns text[]
language plpgsql volatile
set lock_timeout = '2s' set datestyle = 'ISO' set timezone = 'UTC' as $$
declare
  v_table pawl.partitioned;
  v_name text;
  v_first timestamp;
  v_from timestamptz;
  v_to timestamptz;
  v_made text[] := '{}';
begin
  if not pg_try_advisory_xact_lock(hashtextextended('pawl.make_partitions ' || p_part, 0)) then return v_made; end if;
  for v_table in select p.* from pawl.partitioned p where p.part = p_part order by p.name loop
    v_first := date_trunc(v_table.unit, pawl.now() at time zone 'UTC');
    for v_place in 0..coalesce(p_ahead, v_table.ahead) loop
      v_from := (v_first + v_place * ('1 ' || v_table.unit)::interval) at time zone 'UTC';
      v_to := (v_first + (v_place + 1) * ('1 ' || v_table.unit)::interval) at time zone 'UTC';
      v_name := v_table.name || '_' || to_char(v_from at time zone 'UTC', case v_table.unit when 'day' then 'YYYYMMDD' else 'YYYYMM' end);
      continue when to_regclass('pawl.' || v_name) is not null;
      -- what came before the partition of its time was there lies in the default one, and would forbid the attaching; whoever
      -- planned without the new partition must not look for it once it has moved
      if v_place <= 1 then execute format('lock table only pawl.%I in access exclusive mode', v_table.name); end if;
      execute format('create table pawl.%I (like pawl.%I including defaults including constraints)', v_name, v_table.name);
      if to_regclass('pawl.' || v_table.name || '_default') is not null then
        execute format('with moved as (delete from pawl.%I d where d.%I >= %L and d.%I < %L returning d.*) insert into pawl.%I select * from moved',
          v_table.name || '_default', v_table.by_column, v_from, v_table.by_column, v_to, v_name);
      end if;
      execute format('alter table pawl.%I attach partition pawl.%I for values from (%L) to (%L)', v_table.name, v_name, v_from, v_to);
      v_made := v_made || v_name;
    end loop;
  end loop;
  return v_made;
end $$;
