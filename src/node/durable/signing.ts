/** Signatures of webhooks, and the tokens that their receivers answer with. */
import { createHmac, createPrivateKey, createPublicKey, sign, timingSafeEqual } from "node:crypto";
import { sha256 } from "../../lib/digest.ts";
import type { WebhookKey } from "../durable-api.ts";

/** PKCS #8 of an Ed25519 key, without the seed at its end (RFC 8410). */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");
const TOKEN_LIFE_S = 3_600;

/** The public part of the key with this seed. */
export function webhookKeyOf(seed: Uint8Array): WebhookKey {
  const { x = "" } = createPublicKey(privateKeyOf(seed)).export({ format: "jwk" });
  // RFC 7638: the thumbprint of the required members in the order of their names.
  const thumbprint = sha256(JSON.stringify({ crv: "Ed25519", kty: "OKP", x }));
  return { kid: `ds_${Buffer.from(thumbprint).toString("base64url")}`, x };
}

/** Value of the header `Webhook-Signature`. @param seconds since 1970. */
export function signatureOf(seed: Uint8Array, body: string, seconds: number): string {
  const signature = sign(null, Buffer.from(`${seconds}.${body}`), privateKeyOf(seed));
  const { kid } = webhookKeyOf(seed);
  return `t=${seconds},kid=${kid},ed25519=${signature.toString("base64url")}`;
}

const privateKeyOf = (seed: Uint8Array) =>
  createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });

/** A wake that a token is for. */
export type WakeTokenOf = { readonly serial: number; readonly generation: number };

/** Makes the token that proves a wake was given to its bearer. */
export function wakeToken(key: Uint8Array, of: WakeTokenOf, nowMs: number): string {
  const expires = Math.floor(nowMs / 1000) + TOKEN_LIFE_S;
  const payload = `${of.serial}.${of.generation}.${expires}`;
  return `${Buffer.from(payload).toString("base64url")}.${macOf(key, payload).toString("base64url")}`;
}

export type TokenVerdict =
  | { readonly ok: true; readonly generation: number }
  | { readonly ok: false; readonly code: "wake_token_invalid" | "wake_token_expired" };

/** @param serial of the subscription that the token must be for. */
export function checkWakeToken(
  key: Uint8Array,
  serial: number,
  token: string,
  nowMs: number,
): TokenVerdict {
  const [head = "", tail = "", ...more] = token.split(".");
  const payload = Buffer.from(head, "base64url").toString();
  const mac = Buffer.from(tail, "base64url");
  const expected = macOf(key, payload);
  const isGenuine = mac.length === expected.length && timingSafeEqual(mac, expected);
  const [owner, generation, expires] = payload.split(".").map(Number);
  if (more.length > 0 || !isGenuine || owner !== serial || generation === undefined) {
    return { ok: false, code: "wake_token_invalid" };
  }
  if (expires === undefined || nowMs / 1000 > expires) {
    return { ok: false, code: "wake_token_expired" };
  }
  return { ok: true, generation };
}

const macOf = (key: Uint8Array, payload: string): Buffer =>
  createHmac("sha256", key).update(payload).digest();
