/** Names of what restores write until it is whole: files beside the final one, and images of the same pool. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { createHash } from "node:crypto"
import { uniqueFrom } from "../platform/temporaryName.ts"

/** With this the partial names for a name begin. The name itself may be as long as names can be, so it is not in it. */
export const prefixFor = (name: string): string =>
  `.backy-${createHash("sha256").update(name).digest("hex").slice(0, 8)}-`

/** A partial name that nobody else has. */
export const partialName = (name: string): Effect.Effect<string> =>
  Effect.map(
    Effect.replicateEffect(Random.nextIntBetween(0, 36), 12),
    (numbers) => `${prefixFor(name)}${uniqueFrom(() => numbers.pop() ?? 0)}`
  )
