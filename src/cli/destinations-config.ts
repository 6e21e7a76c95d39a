/** The config of a destination as people type it: `--set field=value` for any field, and flags for the common ones. */

import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import { parseSecretRef } from "../base/secret.ts";
import { type Config, isSecretName } from "../outbox/destinations/config.ts";
import type { ConfigFields } from "../outbox/destinations/fields.ts";
import type { DestinationType } from "../outbox/destinations/types.ts";

/** Flags that set the field of the same name. */
const FLAGS = {
  url: "--url <url>",
  secret: "--secret <ref>",
  order: "--order <order>",
  onDead: "--on-dead <what>",
  concurrency: "--concurrency <n>",
  rate: "--rate <rate>",
  timeout: "--timeout <duration>",
  retry: "--retry <policy>",
  breaker: "--breaker <policy>",
} as const;
const HELP: Record<keyof typeof FLAGS, string> = {
  url: "where to send",
  secret: "env:NAME or file:/path of the signing secret",
  order: "none, aggregate or all",
  onDead: "of an ordered one: block or skip what comes behind a dead delivery",
  concurrency: "deliveries at once, over all workers",
  rate: "deliveries started in a time: 50/s, 1000/m",
  timeout: "of a try; a bare number is seconds",
  retry: '"10x 60s x2 max 12h", or a list: "1s,10s,1m"',
  breaker: "on or off; its parts with --set breaker.failures=5",
};

export interface ConfigOptions extends Partial<Record<keyof typeof FLAGS, string>> {
  set?: string[];
  header?: string[];
  unset?: string[];
  /** Of the type's first secret. */
  secretStdin?: boolean;
}

export function withConfigOptions(made: Command): Command {
  for (const [name, flag] of Object.entries(FLAGS))
    made.option(flag, HELP[name as keyof typeof FLAGS]);
  return made
    .option("--header <line>", 'a further header, "x-tenant: a"; may be repeated', collect)
    .option(
      "--set <field=value>",
      "any field, or one part of it: retry.attempts=5; may be repeated",
      collect,
    )
    .option(
      "--secret-stdin",
      "read the secret from stdin, so that no history or list of processes shows it",
    );
}

export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

/** What is typed, by field; `null` for what is unset. @throws PawlError `invalid_option` */
export async function typedConfig(type: DestinationType, options: ConfigOptions): Promise<Config> {
  const named = Object.keys(FLAGS).map(
    (name) => [name, options[name as keyof typeof FLAGS]] as const,
  );
  const typed: [string, string | null][] = [
    ...named.filter((one): one is readonly [string, string] => one[1] !== undefined).map(pair),
    ...(options.header ?? []).map(headerOf),
    ...(options.set ?? []).map(assignment),
    ...(options.unset ?? []).map((name): [string, null] => [name, null]),
  ];
  const twice = typed.find(([name], i) => typed.findIndex((one) => one[0] === name) !== i);
  if (twice !== undefined) throw refused(`\`${twice[0]}\` is given twice; give it once`);
  warnOfSecrets(type.fields, typed);
  const read = options.secretStdin === true ? await secretOfStdin(type) : {};
  return { ...Object.fromEntries(typed), ...read };
}

function pair([name, value]: readonly [string, string]): [string, string] {
  return [name, value];
}

function assignment(text: string): [string, string] {
  const at = text.indexOf("=");
  // not shown: it may be a secret
  if (at < 1)
    throw refused("expected --set to be field=value, such as url=https://erp.example/hooks");
  return [text.slice(0, at), text.slice(at + 1)];
}

function headerOf(line: string): [string, string] {
  const [, name, value = ""] = /^\s*([^:=\s]+)\s*[:=]\s*(.*?)\s*$/s.exec(line) ?? [];
  if (name === undefined) throw refused('expected --header to be "name: value"');
  return [`headers.${name}`, value];
}

/** They are taken all the same: it is the person's machine. */
function warnOfSecrets(fields: ConfigFields, typed: readonly [string, string | null][]): void {
  const bare = typed.filter(([name, value]) => {
    if (value === null || isReference(value)) return false;
    const kind = fields[name]?.kind;
    return kind === "secret" || kind === "secrets" || isSecretHeader(fields, name);
  });
  if (bare.length === 0) return;
  const names = bare.map(([name]) => name).join(", ");
  process.stderr.write(
    `pawl: ${names}: what stands on the command line is kept by the shell's history and seen in the list of processes; prefer env:NAME, file:/path or --secret-stdin\n`,
  );
}

function isReference(value: string): boolean {
  return value.split(",").every((part) => /^\s*(?:env|file):/.test(part));
}

function isSecretHeader(fields: ConfigFields, path: string): boolean {
  const at = path.indexOf(".");
  return at > 0 && fields[path.slice(0, at)]?.kind === "map" && isSecretName(path.slice(at + 1));
}

async function secretOfStdin({ type, fields }: DestinationType): Promise<Config> {
  const name = Object.keys(fields).find((one) => fields[one]?.kind.startsWith("secret"));
  if (name !== undefined) return { [name]: await readStdinSecret(name) };
  throw refused(`a ${type} destination has no secret; leave --secret-stdin out`);
}

/** The first line; nothing of it is echoed. */
export async function readStdinSecret(what: string): Promise<string> {
  const { stdin } = process;
  if (stdin.isTTY) process.stderr.write(`pawl: ${what}, not echoed: `);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: nowhere, terminal: stdin.isTTY });
  try {
    for await (const line of lines) {
      if (stdin.isTTY) process.stderr.write("\n");
      if (line.trim() !== "") return line.trim();
    }
  } finally {
    lines.close();
  }
  throw refused(`expected a secret on stdin for \`${what}\`, got nothing`);
}

/** `env:NAME`, `file:/path`, or the secret itself. */
export function typedSecret(text: string): string {
  if (parseSecretRef(text) === undefined)
    warnOfSecrets({ secret: { kind: "secret", label: "" } }, [["secret", text]]);
  return text;
}

function refused(message: string): PawlError {
  return new PawlError("invalid_option", message);
}
