/** Replaces the secret of a destination while receivers change over: for a time both sign. */

import { type Duration, durationMs } from "../../base/duration.ts";
import { PawlError } from "../../base/errors.ts";
import { readSecret, type SecretRef } from "../../base/secret.ts";
import type { Act } from "../../kernel/people/audit/sql.ts";
import { PRIVATE_PREFIX } from "../../webhooks/secrets.ts";
import { generateWebhookSecret, webhookPublicKey } from "../../webhooks/sign.ts";
import { type ExpiringSecret, isExpiring, unexpired } from "../destinations/expiring-secrets.ts";
import type { DestinationType } from "../destinations/types.ts";
import { changing, type Operators, requireOperators, requireType } from "./base.ts";
import { checked } from "./checked.ts";
import { putDestination, timeAhead } from "./sql.ts";

const OVERLAP_DEFAULT: Duration = "24h";

export interface RotateOptions {
  /** Text, `env:NAME`, `file:/path` or a reference. Default: a new one of the same sort. */
  secret?: string | SecretRef;
  /** How long the old one goes on signing beside it; default 24 h, 0: it ends at once. */
  overlap?: Duration;
}

export interface Rotated {
  /** The new one, when Pawl made it: shown this once, and never again. */
  secret: string | null;
  /** Of a new ed25519 secret: what the receiver verifies with. */
  publicKey: string | null;
  /** When the old ones stop signing; null: at once. */
  oldUntil: Date | null;
  notes: string[];
}

type Secret = string | SecretRef | ExpiringSecret;

/** @throws PawlError `unknown_destination`, `owned_by_code`, and what a secret is refused for */
export function rotate(
  { store, types, allow }: Operators,
  { name, secret, overlap = OVERLAP_DEFAULT }: RotateOptions & { name: string },
  act: Act,
): Promise<Rotated> {
  const overlapMs = durationMs(overlap, "overlap");
  return changing(store, async (executor) => {
    const row = await requireOperators(executor, name);
    const type = requireType(types, row.type);
    const field = secretsField(type, name);
    const old = listOf(row.config[field]);
    const made = secret === undefined ? generateLike(old[0]) : undefined;
    const until = overlapMs === 0 ? null : await timeAhead(executor, overlapMs);
    const config = { ...row.config, [field]: [secret ?? made, ...ending(old, until)] };
    const { put, shown, notes } = checked(type, { name, config, allow });
    const audited = { rotated: field, config: shown, until };
    await putDestination(executor, put, { ...act, isNew: false, shown: audited });
    return {
      secret: made ?? null,
      publicKey: made?.startsWith(PRIVATE_PREFIX) === true ? webhookPublicKey(made) : null,
      oldUntil: until,
      notes,
    };
  });
}

function secretsField({ type, fields }: DestinationType, name: string): string {
  const found = Object.keys(fields).find((one) => fields[one]?.kind === "secrets");
  if (found !== undefined) return found;
  throw new PawlError(
    "invalid_option",
    `destination "${name}": a ${type} destination has no secrets that sign side by side; change what it has with \`pawl destinations edit\``,
    { data: { destination: name, type } },
  );
}

function listOf(stored: unknown): Secret[] {
  if (stored === undefined) return [];
  return (Array.isArray(stored) ? stored : [stored]) as Secret[];
}

/** Those that end sooner already keep their time. */
function ending(old: readonly Secret[], until: Date | null): ExpiringSecret[] {
  if (until === null) return [];
  return unexpired(old, Date.now()).map((one) => {
    if (!isExpiring(one)) return { secret: one, until: until.toISOString() };
    const isSooner = Date.parse(one.until) < until.getTime();
    return isSooner ? one : { ...one, until: until.toISOString() };
  });
}

/** What cannot be read here, as a variable of the workers, is taken for a shared secret. */
function generateLike(old: Secret | undefined): string {
  if (old === undefined || isExpiring(old)) return generateWebhookSecret();
  try {
    const isPrivate = readSecret(old, "webhook secret").startsWith(PRIVATE_PREFIX);
    return generateWebhookSecret(isPrivate ? "v1a" : "v1");
  } catch {
    return generateWebhookSecret();
  }
}
