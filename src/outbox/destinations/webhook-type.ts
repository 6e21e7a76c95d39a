/** Webhooks as operators add them: the options of `webhook()` as fields. */

import type { SecretRef } from "../../base/secret.ts";
import type { ConfigFields } from "./fields.ts";
import type { DestinationType } from "./types.ts";
import { type WebhookOptions, webhook } from "./webhook.ts";

const FIELDS: ConfigFields = {
  url: { kind: "url", label: "URL", required: true, help: "http or https, without credentials" },
  secret: {
    kind: "secrets",
    label: "Signing secret",
    required: true,
    help: "whsec_… (v1) or whsk_… (v1a); several while one is rotated",
  },
  headers: { kind: "map", label: "Further headers" },
  timeout: { kind: "duration", label: "Timeout", default: "15s" },
  order: {
    kind: "choice",
    label: "Order",
    choices: ["none", "aggregate", "all"],
    default: "none",
  },
  onDead: {
    kind: "choice",
    label: "Behind a dead delivery",
    choices: ["block", "skip"],
    default: "block",
  },
  concurrency: { kind: "number", label: "Deliveries at once", min: 1, max: 1_000_000 },
  rate: { kind: "rate", label: "Rate" },
  retry: { kind: "retry", label: "Retries" },
  breaker: { kind: "breaker", label: "Breaker" },
  maxResponseBytes: { kind: "number", label: "Bytes kept of an answer", min: 1, max: 1_048_576 },
};

export const webhookType: DestinationType = {
  type: "webhook",
  label: "Webhook (signed POST)",
  fields: FIELDS,
  define: (config) => webhook(config as unknown as WebhookOptions & { secret: SecretRef }),
};
