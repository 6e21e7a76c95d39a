-- The clock, and who may do what.

-- The one clock. Tests replace this function to move time.
create function pawl.now() returns timestamptz
language sql stable return statement_timestamp();

-- What each part lets the four roles do; `sql/roles.sql` of the part fills it. calls: functions. privileges: what else is granted,
-- such as "select on pawl.queue".
create table pawl.role_grant (
  part text not null,
  role text not null check (role in ('producer', 'worker', 'operator', 'reader')),
  calls text[] not null default '{}',
  privileges text[] not null default '{}',
  primary key (part, role)
);

-- Tables by day or month; the part's SQL files fill it. ahead: partitions that migrating makes beyond the current one.
create table pawl.partitioned (
  name text primary key,
  part text not null,
  by_column text not null,
  unit text not null check (unit in ('day', 'month')),
  ahead int not null
);
