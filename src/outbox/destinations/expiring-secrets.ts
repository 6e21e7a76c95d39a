/**
 * Secrets that sign for a while beside the new one: `{ secret, until }` in a list of secrets. A type never sees them:
 * it gets those that hold at the time of each delivery.
 */

import { unheard } from "../../base/unheard.ts";
import type { SecretRef } from "../../secrets/secret.ts";
import { closeQuietly } from "./close.ts";
import type { DestinationDefinition, DestinationType } from "./types.ts";

export interface ExpiringSecret {
  readonly secret: string | SecretRef;
  /** ISO 8601. */
  readonly until: string;
}

export function isExpiring(value: unknown): value is ExpiringSecret {
  return (
    value !== null &&
    typeof value === "object" &&
    "secret" in value &&
    typeof (value as { until?: unknown }).until === "string"
  );
}

/** Without those whose time has passed. */
export function unexpired<T>(secrets: readonly T[], nowMs: number): T[] {
  return secrets.filter((one) => !isExpiring(one) || Date.parse(one.until) > nowMs);
}

/** The type with definitions that drop expired secrets by themselves. */
export function withLiveSecrets(type: DestinationType): DestinationType {
  const names = Object.keys(type.fields).filter((name) => type.fields[name]?.kind === "secrets");
  if (names.length === 0) return type;
  return {
    ...type,
    define: (config) => {
      const ends = names.flatMap((name) => endsOf(config[name]));
      return ends.length === 0 ? type.define(config) : changing(type, { config, names, ends });
    },
  };
}

interface Changing {
  config: Record<string, unknown>;
  names: readonly string[];
  /** When a secret ends, in ms. */
  ends: readonly number[];
}

function changing(type: DestinationType, { config, names, ends }: Changing): DestinationDefinition {
  const make = (nowMs: number) => ({
    definition: type.define(liveConfig(config, names, nowMs)),
    endsMs: Math.min(...ends.filter((end) => end > nowMs)),
  });
  let now = make(Date.now());
  const current = (): DestinationDefinition => {
    if (Date.now() < now.endsMs) return now.definition;
    unheard(() => closeQuietly(now.definition));
    now = make(Date.now());
    return now.definition;
  };
  return {
    ...now.definition,
    check: () => current().check?.(),
    deliver: (delivery, context) => current().deliver(delivery, context),
    close: async () => now.definition.close?.(),
  };
}

function liveConfig(
  config: Record<string, unknown>,
  names: readonly string[],
  nowMs: number,
): Record<string, unknown> {
  const live = names.flatMap((name) => {
    const value = config[name];
    if (!Array.isArray(value)) return [];
    const secrets = unexpired(value, nowMs).map((one) => (isExpiring(one) ? one.secret : one));
    return [[name, secrets] as const];
  });
  return { ...config, ...Object.fromEntries(live) };
}

function endsOf(value: unknown): number[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isExpiring).map((one) => Date.parse(one.until));
}
