-- Every act of an operator is kept, by the functions that act.

create or replace function pawl.audit_v1(p_by text, p_action text, p_target text, p_why text, p_detail jsonb) returns void
language sql volatile as $$
  insert into pawl.audit (by, action, target, why, detail)
  values (coalesce(nullif(p_by, ''), session_user), p_action, p_target, nullif(p_why, ''), p_detail)
$$;
