/** Replaces the secret of a destination. For a time both secrets sign, so that receivers can change over. */

import { type Duration, durationMs } from "../../../base/duration.ts";
import { PawlError } from "../../../base/errors.ts";
import type { Act } from "../../../operate/sql.ts";
import { readSecret, type SecretRef } from "../../../secrets/secret.ts";
import { PRIVATE_PREFIX } from "../../../webhooks/secrets.ts";
import { generateWebhookSecret, webhookPublicKey } from "../../../webhooks/sign.ts";
import { type ExpiringSecret, isExpiring, unexpired } from "../../destinations/expiring-secrets.ts";
import type { DestinationType } from "../../destinations/types.ts";
import { changing, type Operators, requireOperators, requireType } from "../base.ts";
import { checked } from "../checked.ts";
import { putDestination, timeAhead } from "../sql.ts";

const OVERLAP_DEFAULT: Duration = "24h";

export interface RotateOptions {
  /** Text, `env:NAME`, `file:/path` or a reference. Default: a new secret of the same kind. */
  secret?: string | SecretRef;
  /** How long the old secret still signs too; default 24 h. 0: it ends at once. */
  overlap?: Duration;
}

export interface Rotated {
  /** The new secret, if Pawl made it. It is shown only this once. */
  secret: string | null;
  /** For a new ed25519 secret: the key with which the receiver verifies. */
  publicKey: string | null;
  /** When the old secrets stop signing; null: at once. */
  oldUntil: Date | null;
  notes: string[];
}

type Secret = string | SecretRef | ExpiringSecret;

/** @throws PawlError `unknown_destination`, `owned_by_code`, and errors of the secret */
export function rotate(
  { store, types, allow, references }: Operators,
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
    const { put, shown, notes } = checked(type, { name, config, allow, references });
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

/** Secrets that already end sooner keep their end. */
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
