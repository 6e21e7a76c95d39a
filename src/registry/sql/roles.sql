-- What the roles may call of this part, and read: see pawl.grant_roles_v1.
delete from pawl.role_grant where part in ('registry', 'app'); -- as it was called
insert into pawl.role_grant (part, role, calls, privileges) values
  ('registry', 'reader', '{apps_v1}', array['select on pawl.application']),
  ('registry', 'operator', '{remove_app_v1}', '{}');
