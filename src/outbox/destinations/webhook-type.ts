/** Webhooks as operators add them: the options of `webhook()` as fields. */

import { COMMON_FIELDS } from "./common-options.ts";
import { withLiveSecrets } from "./expiring-secrets.ts";
import type { ConfigFields } from "./fields.ts";
import type { DestinationType } from "./types.ts";
import { type WebhookOptions, webhook } from "./webhook.ts";

const FIELDS: ConfigFields = {
  url: {
    kind: "url",
    label: "URL",
    required: true,
    canRefer: true,
    help: "http or https, without credentials; env:NAME or file:/path where it holds a secret",
  },
  secret: {
    kind: "secrets",
    label: "Signing secret",
    required: true,
    help: "whsec_… (v1) or whsk_… (v1a); several while one is rotated",
  },
  headers: { kind: "map", label: "Further headers" },
  ...COMMON_FIELDS,
  timeout: { kind: "duration", label: "Timeout", default: "15s" },
  maxResponseBytes: { kind: "number", label: "Bytes kept of an answer", min: 1, max: 1_048_576 },
};

export const webhookType: DestinationType = withLiveSecrets({
  type: "webhook",
  label: "Webhook (signed POST)",
  fields: FIELDS,
  define: (config) => webhook(config as unknown as WebhookOptions),
});
