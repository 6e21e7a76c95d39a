/** Named keys, and the tokens that they sign. */

export {
  checkKey,
  defineKey,
  defineKeys,
  describeKey,
  type JwtAlgorithm,
  type JwtKey,
  type JwtKeyOptions,
  keyNamed,
  receiverKeys,
} from "./key.ts";
export {
  checkClaims,
  JWT_TTL_MS_DEFAULT,
  type JwtClaims,
  type SignJwtOptions,
  signForSending,
  signJwt,
} from "./sign-jwt.ts";
