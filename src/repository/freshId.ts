import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { fromRandom, type RevisionId } from "../domain/RevisionId.ts"

/** A new id for a revision or a report: 128 bits of the `Random` service, so that a simulation can foresee it. */
export const freshId: Effect.Effect<RevisionId> = Effect.map(
  Effect.replicateEffect(Random.nextIntBetween(0, 256), 16),
  (bytes) => fromRandom(Uint8Array.from(bytes))
)
