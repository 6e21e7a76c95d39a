-- What every operator's act leaves behind.

-- Every act of an operator. Rows are only ever added.
create table pawl.audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default pawl.now(),
  by text not null,
  action text not null,
  target text not null,
  why text,
  detail jsonb
);
create index audit_by_target on pawl.audit (target, id);
