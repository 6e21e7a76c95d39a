/** `pawl/webhooks`: for receivers of Pawl's webhooks and signed requests, and for who signs by hand. */

export type { ErrorCode } from "../base/error-codes.ts";
export { PawlError } from "../base/errors.ts";
export { env, file, type SecretRef } from "../secrets/secret.ts";
export {
  type EventVerifier,
  type EventVerifierOptions,
  eventVerifier,
  readEvent,
  type WebhookEvent,
} from "./event.ts";
export { expressVerifier, type Middleware } from "./express.ts";
export { type FastifyScope, verifyFastify } from "./fastify.ts";
export { rejectedResponse, verifyFetch } from "./fetch.ts";
export type { IncomingHeaders } from "./headers.ts";
export type { JwtAlgorithm } from "./jwt-keys.ts";
export { answerRejected, type ReceiveOptions, readVerified } from "./receive.ts";
export { type RejectedReason, WebhookRejected } from "./rejected.ts";
export type { RequestTask } from "./request-task.ts";
export {
  type RequestClaims,
  type RequestKeyOptions,
  type RequestVerifier,
  type RequestVerifierOptions,
  requestVerifier,
  type VerifiedRequest,
} from "./request-verifier.ts";
export {
  isFirst,
  pruneSeen,
  SEEN_TABLE,
  type SeenOptions,
  type SqlClient,
  seenTable,
} from "./seen.ts";
export {
  generateWebhookSecret,
  signWebhook,
  type WebhookMessage,
  webhookPublicKey,
} from "./sign.ts";
export { verifiedOf } from "./verified.ts";
export {
  type VerifiedWebhook,
  type Verifier,
  type WebhookVerifier,
  type WebhookVerifierOptions,
  webhookVerifier,
} from "./verifier.ts";
