/** What an answer of S3 that is no success means. */
import { ObjectStoreError, type Reason } from "./ObjectStore.ts"
import * as Xml from "./xml.ts"

/** An answer, as far as it matters for an error. */
export interface Refusal {
  readonly status: number
  /** The beginning of the body. */
  readonly text: string
}

/** S3's own name for what is wrong, if the body is its XML. A HEAD has none. */
export const codeOf = (text: string): string | undefined => {
  const root = Xml.parse(text)
  return root?.name === "Error" ? Xml.textOf(root, "Code") : undefined
}

/** What is known of a code whatever its status is. */
const reasons: Readonly<Record<string, readonly [Reason, string]>> = {
  BadDigest: ["corrupt", "the bytes that arrived there are not those that were sent"],
  XAmzContentSHA256Mismatch: ["corrupt", "the bytes that arrived there are not those that were sent"],
  ExpiredToken: ["expired", "the credentials have expired"],
  TokenRefreshRequired: ["expired", "the credentials have expired"],
  InvalidAccessKeyId: ["refused", "the store does not know this access key"],
  SignatureDoesNotMatch: [
    "refused",
    "the secret key is not the one of the access key, or the request was changed on its way"
  ],
  RequestTimeTooSkewed: ["clock", "the clocks of this machine and of the store differ too much"],
  NoSuchBucket: ["bucket", "there is no such bucket"],
  QuotaExceeded: ["full", "the quota of the store is used up"],
  EntityTooLarge: ["full", "the store takes no object of this size"],
  NotImplemented: ["unexpected", "the store does not know conditional requests"],
  RequestTimeout: ["unavailable", "the store waited too long for the request"],
  SlowDown: ["unavailable", "the store has too much to do"],
  ConditionalRequestConflict: ["unavailable", "somebody else writes the same object at this moment"],
  OperationAborted: ["unavailable", "somebody else writes the same object at this moment"]
}

const reasonOf = (status: number): Reason => {
  if (status === 401 || status === 403) return "refused"
  if (status === 507) return "full"
  return status === 429 || status >= 500 || status === 408 || status === 409 ? "unavailable" : "unexpected"
}

/** The error for an answer. */
export const failure = (operation: string, { status, text }: Refusal): ObjectStoreError => {
  const code = codeOf(text)
  const known = code === undefined || !Object.hasOwn(reasons, code) ? undefined : reasons[code]
  // the store's own text may hold anything, also what it was sent
  const said = code === undefined ? "" : `, ${JSON.stringify(code.slice(0, 100))}`
  return new ObjectStoreError({
    operation,
    reason: known?.[0] ?? reasonOf(status),
    detail: `${known === undefined ? "" : `${known[1]} (`}it answered ${status}${said}${known === undefined ? "" : ")"}`
  })
}
