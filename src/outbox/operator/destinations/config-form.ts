/** The config of a destination as people type it: `--set field=value` for any field, and flags for the common ones. */

import { PawlError } from "../../../base/errors.ts";
import { HIDDEN, isSecretName, maskUrl } from "../../../base/mask.ts";
import type { Terminal } from "../../../operate/verb.ts";
import type { Field } from "../../../options/field.ts";
import { flag, text } from "../../../options/kinds.ts";
import { repeated, several } from "../../../options/parts.ts";
import { parseSecretRef } from "../../../secrets/secret.ts";
import type { Config } from "../../destinations/config.ts";
import type { ConfigFields } from "../../destinations/fields.ts";
import type { DestinationType } from "../../destinations/types.ts";

const VALUE_CHARS_MAX = 1_048_576;

type Named =
  | "url"
  | "secret"
  | "order"
  | "onDead"
  | "concurrency"
  | "rate"
  | "timeout"
  | "retry"
  | "breaker";
type Several = Field<string | readonly string[], string[]>;

/** Flags that set the field of the same name. */
const NAMED: { readonly [Name in Named]: Field<string> } = {
  url: value("where to send; env:NAME or file:/path if the URL contains a secret", "url"),
  secret: value("env:NAME or file:/path of the signing secret", "ref"),
  order: value("none, aggregate or all", "order"),
  onDead: value("if ordered: block or skip the deliveries after a dead one", "what"),
  concurrency: value("the maximum number of deliveries at once, over all workers", "n"),
  rate: value("the maximum rate of deliveries: 50/s, 1000/m", "rate"),
  timeout: value("time limit of one attempt, such as 30s", "duration"),
  retry: value('"10x 60s x2 max 12h", or a list: "1s,10s,1m"', "policy"),
  breaker: value("on or off; set its options with --set breaker.failures=5", "policy"),
};

export const CONFIG_FLAGS: typeof NAMED & {
  readonly header: Several;
  readonly set: Several;
  readonly urlStdin: Field<boolean>;
  readonly secretStdin: Field<boolean>;
} = {
  ...NAMED,
  header: repeated(value('an additional header, "x-tenant: a"; may be repeated', "line")),
  set: repeated(
    value("any field, or one part of it: retry.attempts=5; may be repeated", "field=value"),
  ),
  urlStdin: flag("read the URL from stdin, for a URL that contains a secret"),
  /** Of the type's first secret. */
  secretStdin: flag(
    "read the secret from stdin, so that no shell history or process list shows it",
  ),
};

/** Of an edit. */
export const UNSET: Several = several(value("remove a value; may be repeated", "field"));

export interface TypedConfig extends Partial<Record<Named, string>> {
  set?: string[];
  header?: string[];
  unset?: string[];
  urlStdin?: boolean;
  secretStdin?: boolean;
}

function value(help: string, shape: string): Field<string> {
  return text(help, shape, VALUE_CHARS_MAX);
}

/** What is typed, by field; `null` for what is unset. @throws PawlError `invalid_option` */
export async function typedConfig(
  type: DestinationType,
  options: TypedConfig,
  terminal: Terminal,
): Promise<Config> {
  const named = Object.keys(NAMED).map((name) => [name, options[name as Named]] as const);
  const typed: [string, string | null][] = [
    ...named.filter((one): one is readonly [string, string] => one[1] !== undefined).map(pair),
    ...(options.header ?? []).map(headerOf),
    ...(options.set ?? []).map(assignment),
    ...(options.unset ?? []).map((name): [string, null] => [name, null]),
  ];
  const piped = pipedField(type, options);
  refuseTwice([...typed.map(([name]) => name), ...(piped === undefined ? [] : [piped])]);
  warnOfSecrets(type.fields, typed, terminal);
  const read = piped === undefined ? {} : { [piped]: await terminal.readSecret(piped) };
  return { ...Object.fromEntries(typed), ...read };
}

/** Also with the same value: one of the two may be a slip for another field. */
function refuseTwice(names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw refused(`\`${twice}\` is given twice; give it once`);
}

function pair([name, value]: readonly [string, string]): [string, string] {
  return [name, value];
}

function assignment(typed: string): [string, string] {
  const at = typed.indexOf("=");
  // not shown: it may be a secret
  if (at < 1)
    throw refused("expected --set to be field=value, such as url=https://erp.example/hooks");
  return [typed.slice(0, at), typed.slice(at + 1)];
}

function headerOf(line: string): [string, string] {
  const [, name, value = ""] = /^\s*([^:=\s]+)\s*[:=]\s*(.*?)\s*$/s.exec(line) ?? [];
  if (name === undefined) throw refused('expected --header to be "name: value"');
  return [`headers.${name}`, value];
}

/** They are taken all the same: it is the person's machine. */
function warnOfSecrets(
  fields: ConfigFields,
  typed: readonly [string, string | null][],
  { note }: Terminal,
): void {
  const bare = typed.filter(([name, value]) => {
    if (value === null || isReference(value)) return false;
    const { kind, canRefer = false } = fields[name] ?? {};
    if (kind === "url" && canRefer) return maskUrl(value).includes(HIDDEN);
    return kind === "secret" || kind === "secrets" || isSecretHeader(fields, name);
  });
  if (bare.length === 0) return;
  const names = bare.map(([name]) => name).join(", ");
  note(
    `${names}: the command line is kept in the shell's history and shown in the list of processes; prefer env:NAME, file:/path or --secret-stdin`,
  );
}

function isReference(value: string): boolean {
  return value.split(",").every((part) => /^\s*(?:env|file):/.test(part));
}

function isSecretHeader(fields: ConfigFields, path: string): boolean {
  const at = path.indexOf(".");
  return at > 0 && fields[path.slice(0, at)]?.kind === "map" && isSecretName(path.slice(at + 1));
}

/** The field that is read from stdin. */
function pipedField(
  { type, fields }: DestinationType,
  { url, urlStdin = false, secretStdin = false }: TypedConfig,
): string | undefined {
  if (urlStdin && (secretStdin || url !== undefined)) {
    throw refused("--url-stdin is given together with --url or --secret-stdin; give one of them");
  }
  if (urlStdin) return "url";
  if (!secretStdin) return undefined;
  const name = Object.keys(fields).find((one) => fields[one]?.kind.startsWith("secret"));
  if (name !== undefined) return name;
  throw refused(`a ${type} destination has no secret; leave --secret-stdin out`);
}

/** `env:NAME`, `file:/path`, or the secret itself. */
export function typedSecret(typed: string, terminal: Terminal): string {
  if (parseSecretRef(typed) === undefined)
    warnOfSecrets({ secret: { kind: "secret", label: "" } }, [["secret", typed]], terminal);
  return typed;
}

function refused(message: string): PawlError {
  return new PawlError("invalid_option", message);
}
