/**
 * Conditional puts over stores that may not honour them. A Ceph object gateway takes `If-Match` only without quotes,
 * and in a bucket with versions it ignores `If-None-Match` and refuses every `If-Match` (seen with release 16). So what
 * a store does with conditions is tried out with the first one; where it ignores them, the object is looked at before
 * it is written, which keeps one writer from mistakes, but not two at the same moment.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Description, ObjectStoreError, Version } from "./ObjectStore.ts"

/** How a put ended: written, or refused because of its condition. */
export type Outcome = Option.Option<Version>

export interface Requests {
  /** The bucket for people. */
  readonly name: string
  /** Puts with these headers; none: the store refused the condition. */
  readonly put: (
    key: string,
    content: Uint8Array,
    headers: Readonly<Record<string, string>>
  ) => Effect.Effect<Outcome, ObjectStoreError>
  /** What is there, if anything is. */
  readonly look: (key: string) => Effect.Effect<Option.Option<Description>, ObjectStoreError>
}

export interface Conditions {
  readonly ifAbsent: (key: string, content: Uint8Array) => Effect.Effect<Outcome, ObjectStoreError>
  readonly ifMatch: (key: string, content: Uint8Array, etag: string) => Effect.Effect<Outcome, ObjectStoreError>
}

const ABSENT = { "if-none-match": "*" }

/** Knows nothing yet about the store. */
export const make = ({ look, name, put }: Requests): Effect.Effect<Conditions> =>
  Effect.map(Effect.makeSemaphore(1), (alone) => {
    let absent: "honoured" | "ignored" | "unknown" = "unknown"
    let match: "ignored" | "quoted" | "unquoted" | undefined

    const warn = Effect.logWarning(
      `${name} ignores conditions of writes, as a Ceph object gateway does in a bucket with versions: ` +
        "only one machine at a time may write to it"
    )

    const afterLook = (key: string, content: Uint8Array, allowed: (there: Option.Option<Description>) => boolean) =>
      Effect.flatMap(
        look(key),
        (there): Effect.Effect<Outcome, ObjectStoreError> => allowed(there) ? put(key, content, {}) : Effect.succeedNone
      )

    const absentAfterLook = (key: string, content: Uint8Array) => afterLook(key, content, Option.isNone)

    /** The first condition: a second put of the same content must be refused. */
    const tryOut = Effect.fnUntraced(function*(key: string, content: Uint8Array) {
      if (Option.isSome(yield* look(key))) return Option.none<Version>()
      const first = yield* put(key, content, ABSENT)
      if (Option.isNone(first)) {
        absent = "honoured"
        return first
      }
      const second = yield* put(key, content, ABSENT)
      absent = Option.isNone(second) ? "honoured" : "ignored"
      if (absent === "ignored") yield* warn
      return Option.orElse(second, () => first)
    })

    const ifAbsent = (key: string, content: Uint8Array): Effect.Effect<Outcome, ObjectStoreError> =>
      Effect.suspend(() => {
        if (absent === "honoured") return put(key, content, ABSENT)
        if (absent === "ignored") return absentAfterLook(key, content)
        // whoever comes meanwhile waits until it is known
        return alone.withPermits(1)(
          Effect.suspend(() => absent === "unknown" ? tryOut(key, content) : Effect.succeed(undefined))
        ).pipe(Effect.flatMap((outcome) => outcome === undefined ? ifAbsent(key, content) : Effect.succeed(outcome)))
      })

    const matching = (etag: string) => Option.exists<Description>((there) => there.etag === etag)

    const ifMatch = (key: string, content: Uint8Array, etag: string): Effect.Effect<Outcome, ObjectStoreError> =>
      Effect.gen(function*() {
        const forms = match === undefined ? ["quoted", "unquoted"] as const : [match]
        for (const form of forms) {
          if (form === "ignored") break
          const outcome = yield* put(key, content, { "if-match": form === "quoted" ? `"${etag}"` : etag })
          if (Option.isSome(outcome)) {
            match = form
            return outcome
          }
          // a refusal is right where the object is another one; else the store understands the header differently
          if (!matching(etag)(yield* look(key))) return outcome
          if (match !== undefined) return outcome
        }
        if (match === undefined) {
          match = "ignored"
          if (absent !== "ignored") yield* warn
        }
        return yield* afterLook(key, content, matching(etag))
      })

    return { ifAbsent, ifMatch }
  })
