/** Groups: scopes that one switch turns off and on together, as an app defines them. */

import { PawlError } from "../../base/errors.ts";
import { type Groups, LOCAL_KINDS, parseScope, scopeText } from "../../base/scope.ts";
import { nearest } from "../../base/suggest.ts";
import { type Field, field, readValue } from "../../options/field.ts";
import { lowerName } from "../../options/kinds.ts";
import { list, object } from "../../options/parts.ts";
import type { AppBase } from "../part.ts";

/** What the app's code defines of groups. */
export interface GroupsApp extends AppBase {
  readonly groups: Groups;
}

const MEMBERS_MAX = 1_000;
const KINDS = LOCAL_KINDS.filter((kind) => kind !== "group");

const NAME = lowerName();
const isMemberKind = (kind: string): boolean => KINDS.some((one) => one === kind);

/** Not `all`, which needs no group; not a group; and no route, whose number is the database's. */
const member = field<string>({
  kind: "member",
  help: "what is turned off with it",
  shape: "scope",
  expected: `a scope that is no group: ${KINDS.map((kind) => `"${kind}:<name>"`).join(", ")}`,
  read: (given) => {
    const scope = typeof given === "string" ? parseScope(given) : undefined;
    return scope !== undefined && isMemberKind(scope.kind) ? scopeText(scope) : undefined;
  },
  hint: (given) => {
    const [kind = "", ...rest] = String(given).split(":");
    const near = rest.length === 0 || isMemberKind(kind) ? undefined : nearest(kind, KINDS);
    return near && `did you mean "${[near, ...rest].join(":")}"?`;
  },
});

const MEMBERS = list(member, { help: "the members" });

export const groupsOption: Field<Record<string, readonly string[]>> = object<
  Record<string, readonly string[]>
>("the members of each, by its name");

/** @throws PawlError `invalid_option`, `duplicate_name` for a member that comes twice */
export function defineGroups(named: Record<string, readonly string[]>): Groups {
  const groups = Object.entries(named).map(([name, given]) => {
    NAME.read(name, { where: "defineApp", label: "the name of a group", option: "groups" });
    return [name, membersOf(name, given)] as const;
  });
  return Object.freeze(Object.fromEntries(groups));
}

function membersOf(name: string, given: readonly string[]): readonly string[] {
  const option = `groups.${name}`;
  const members = readValue("defineApp", option, MEMBERS, given);
  if (members.length > MEMBERS_MAX) {
    throw new PawlError(
      "invalid_option",
      `${option}: expected a maximum of ${MEMBERS_MAX} members, got ${members.length}`,
      { data: { option } },
    );
  }
  const twice = members.find((one, i) => members.indexOf(one) < i);
  if (twice === undefined) return Object.freeze(members);
  throw new PawlError("duplicate_name", `${option}: has "${twice}" twice; give each member once`, {
    data: { option },
  });
}
