-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part = 'store';
insert into pawl.role_grant (part, role, calls, privileges) values
  ('store', 'reader', '{now}', array['select on pawl.migration, pawl.function_file']);
