/** Scopes: what can be turned off. `all`, or `<kind>:<name>`. The one parser of their text, and the one printer. */

import type { ErrorCode } from "./error-codes.ts";

export type ScopeKind =
  | "queue"
  | "kind"
  | "process"
  | "destination"
  | "source"
  | "schedule"
  | "command"
  | "group"
  | "route";

interface ScopeKindInfo {
  /** The error for a name that is not there. */
  unknown: ErrorCode;
  /** Each of this kind is a queue with the scope as its name. */
  isQueue?: true;
  /** Each of this kind is a kind of task: in this queue; "": in all that no part of Pawl fills. */
  kindsIn?: string;
  /** A file or a variable on one host can hold it there. */
  isLocal: boolean;
}

/** `pawl.scope_kind` has the same kinds; each part fills in its own. */
const KINDS: Readonly<Record<ScopeKind, ScopeKindInfo>> = {
  queue: { unknown: "unknown_queue", isLocal: true },
  kind: { unknown: "unknown_kind", kindsIn: "", isLocal: true },
  process: { unknown: "unknown_kind", kindsIn: "processes", isLocal: true },
  destination: { unknown: "unknown_destination", isQueue: true, isLocal: true },
  source: { unknown: "source_not_found", isLocal: true },
  schedule: { unknown: "schedule_not_found", isLocal: true },
  command: { unknown: "command_not_found", kindsIn: "commands", isLocal: true },
  group: { unknown: "group_not_found", isLocal: true },
  // any worker may route
  route: { unknown: "route_not_found", isLocal: false },
};

export interface Scope {
  kind: "all" | ScopeKind;
  /** Empty for `all`. */
  name: string;
}

/** The members of groups, by the group's name: scopes, as they are printed. */
export type Groups = Readonly<Record<string, readonly string[]>>;

export const SCOPE_KINDS: readonly ScopeKind[] = Object.keys(KINDS) as ScopeKind[];
export const LOCAL_KINDS: readonly ScopeKind[] = SCOPE_KINDS.filter((kind) => KINDS[kind].isLocal);

/** How a scope of a kind is written, for messages. */
export const scopeShape = (kind: ScopeKind): string =>
  `"${kind}:<${kind === "route" ? "id" : "name"}>"`;

/** Returns undefined for a text that names no scope. */
export function parseScope(text: string): Scope | undefined {
  if (text === "all") return { kind: "all", name: "" };
  const [kind = "", ...rest] = text.split(":");
  const name = rest.join(":");
  if (!isKind(kind) || name === "") return undefined;
  return kind === "queue" ? ofQueue(name) : { kind, name };
}

export function scopeText({ kind, name }: Scope): string {
  return kind === "all" ? "all" : `${kind}:${name}`;
}

/** The scope of a queue's tasks: `queue:low`, or `destination:erp`, whose queue has that name. */
export function queueScope(queue: string): string {
  return scopeText(ofQueue(queue));
}

/** The scope itself, and the members of a group. */
export function scopesIn(text: string, groups: Groups): readonly string[] {
  const scope = parseScope(text);
  const isGroup = scope?.kind === "group" && Object.hasOwn(groups, scope.name);
  return isGroup ? [text, ...(groups[scope.name] ?? [])] : [text];
}

/** Which tasks a scope holds; empty where it holds all, or none. */
export function tasksOfScope(text: string): { queue?: string; kind?: string } {
  const scope = parseScope(text);
  if (scope === undefined || scope.kind === "all") return {};
  if (scope.kind === "queue") return { queue: scope.name };
  if (isQueueKind(scope.kind)) return { queue: scopeText(scope) };
  const { kindsIn } = KINDS[scope.kind];
  if (kindsIn === undefined) return {};
  return kindsIn === "" ? { kind: scope.name } : { queue: kindsIn, kind: scope.name };
}

/** Whether what one scope holds is held by the other too. */
export function isHeldToo(scope: string, by: string): boolean {
  if (by === scope) return false;
  if (by === "all") return true;
  const { queue, kind } = tasksOfScope(by);
  return queue !== undefined && kind === undefined && queue === tasksOfScope(scope).queue;
}

export function unknownCode(kind: ScopeKind): ErrorCode {
  return KINDS[kind].unknown;
}

function ofQueue(name: string): Scope {
  const [kind = "", ...rest] = name.split(":");
  const isOther = isKind(kind) && isQueueKind(kind) && rest.join(":") !== "";
  return isOther ? { kind, name: rest.join(":") } : { kind: "queue", name };
}

function isQueueKind(kind: ScopeKind): boolean {
  return KINDS[kind].isQueue === true;
}

function isKind(text: string): text is ScopeKind {
  return Object.hasOwn(KINDS, text);
}
