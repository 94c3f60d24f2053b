/** How much of an image was compared with its source, as far as a revision's verification tells. */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type { Revision } from "./Revision.ts"
import { Timestamp } from "./Timestamp.ts"

/**
 * - `Whole`: everything at once, when the revision was made;
 * - `InTurn`: every block at least once since then, a part in each backup;
 * - `Begun`: a share of the blocks (0 to 1) since then.
 */
export type Coverage =
  | { readonly _tag: "Whole"; readonly at: DateTime.Utc }
  | { readonly _tag: "InTurn"; readonly since: DateTime.Utc }
  | { readonly _tag: "Begun"; readonly since: DateTime.Utc; readonly share: number }

const instant = (value: unknown): Option.Option<DateTime.Utc> => {
  const text = value instanceof Timestamp ? value.text.replace(" ", "T") : value
  return typeof text === "string" ? Option.map(DateTime.make(text), DateTime.toUtc) : Option.none()
}

/** `undefined`: the revision was not compared, as those of backy 2.5, or says too little. */
export const of = ({ size, timestamp, verification }: Revision, chunkSize: number): Coverage | undefined => {
  if (verification === undefined) return undefined
  if (verification.kind !== "samples") {
    return verification.compared === verification.of ? { _tag: "Whole", at: timestamp } : undefined
  }
  const whole = instant(verification["fully_compared"])
  if (Option.isSome(whole)) return { _tag: "InTurn", since: whole.value }
  const begun = instant(verification["rotation_started"])
  const total = size ?? verification.of
  if (Option.isNone(begun) || total === 0) return undefined
  return { _tag: "Begun", since: begun.value, share: Math.min(1, (verification.cursor ?? 0) * chunkSize / total) }
}

/** Since when everything has been compared, if it has. */
export const fullySince = (coverage: Coverage | undefined): DateTime.Utc | undefined => {
  switch (coverage?._tag) {
    case "Whole":
      return coverage.at
    case "InTurn":
      return coverage.since
    default:
      return undefined
  }
}
