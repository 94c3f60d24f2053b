import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { Revision } from "../domain/Revision.ts"
import { isRevisionId, type RevisionId } from "../domain/RevisionId.ts"
import * as RevisionSpec from "../domain/RevisionSpec.ts"
import type { SpecInvalid } from "../domain/RevisionSpecText.ts"
import type { IoError } from "../platform/IoError.ts"
import type { History } from "../repository/History.ts"
import { Repository } from "../repository/Repository.ts"
import type { RepositoryMissing } from "../repository/RepositoryError.ts"

/** Which revisions an operation acts on: a spec as the user writes it (docs: revision specs). */
export type Selection = string

/** Exactly one revision was wanted. */
export class NotOneRevision extends Data.TaggedError("NotOneRevision")<{
  readonly spec: string
  readonly count: number
}> {
  override get message() {
    return this.count === 0
      ? `-r ${this.spec}: no revision fits (backy status lists them)`
      : `-r ${this.spec}: ${this.count} revisions fit, and exactly one is wanted`
  }
}

/** The revision was never completed, so nothing whole is stored for it. */
export class RevisionIncomplete extends Data.TaggedError("RevisionIncomplete")<{ readonly id: RevisionId }> {
  override get message() {
    return `revision ${this.id} was never completed: there is nothing whole to read`
  }
}

/** Why revisions cannot be selected. */
export type SelectError = SpecInvalid | RevisionSpec.SpecFailed | RepositoryMissing | IoError

/** Why not exactly one revision can be selected. */
export type SelectOneError = SelectError | NotOneRevision

/**
 * The revisions that a spec names, in the order it gives. Dates are local. Fails with `SpecInvalid`, `SpecFailed`,
 * `RepositoryMissing`, `IoError`.
 */
export const select = Effect.fn("select")(function*(
  spec: Selection
): Effect.fn.Return<ReadonlyArray<Revision>, SelectError, Repository> {
  const { history } = yield* Repository
  return yield* selectFrom(spec, yield* history)
})

const selectFrom = Effect.fnUntraced(function*(spec: Selection, history: History) {
  const parsed = yield* RevisionSpec.parse(spec)
  const broken = history.broken.find(({ id }) => id === spec)
  if (broken !== undefined) {
    return yield* new RevisionSpec.SpecFailed({ name: spec, reason: `${broken.path} cannot be used: ${broken.reason}` })
  }
  const revisions = [...history.complete, ...history.incomplete]
  // the system's zone takes 60 ms to find out, and only dates need it
  const zone = /\d-\d/.test(spec) ? DateTime.zoneMakeLocal() : DateTime.zoneMakeOffset(0)
  return yield* RevisionSpec.select(parsed, revisions, { zone })
})

/**
 * Like {@link select}, for what changes revisions or says where they are. While a revision's metadata cannot be read, a
 * spec that counts from an end is refused: the latest that we can read need not be the latest. Fails with `SelectError`.
 */
export const selectCertain = Effect.fn("selectCertain")(function*(
  spec: Selection
): Effect.fn.Return<ReadonlyArray<Revision>, SelectError, Repository> {
  const history = yield* (yield* Repository).history
  const parsed = yield* RevisionSpec.parse(spec)
  if (!isCertain(parsed)) yield* requireWhole(spec, history)
  return yield* selectFrom(spec, history)
})

/** Whether a revision more in the history would change nothing but that it may be meant, too. */
const isCertain = (spec: RevisionSpec.RevisionSpec): boolean => {
  switch (spec._tag) {
    case "All":
    case "Clean":
    case "Tagged":
    case "Trusted":
      return true
    case "Name":
      return isRevisionId(spec.name)
    case "And":
    case "Or":
      return spec.parts.every(isCertain)
    case "Range":
      return [spec.from, spec.to].every((end) => end === undefined || end._tag === "Date")
    case "Reverse":
      return isCertain(spec.of)
    case "Number":
    case "Latest":
    case "First":
    case "Not":
    case "FirstOf":
    case "LastOf":
      return false
  }
}

const requireWhole = (spec: Selection, { broken: [broken] }: History) => {
  if (broken === undefined) return Effect.void
  const reason = `-r ${spec}: it is unknown which revision that is, since ${broken.path} is not readable ` +
    `(${broken.reason}); name a revision by its full id (backy status lists them)`
  return Effect.fail(new RevisionSpec.SpecFailed({ name: spec, reason }))
}

/**
 * Like {@link selectCertain}, but for exactly one revision, which only its full id names for certain. Fails with
 * `NotOneRevision`, `SelectError`.
 */
export const selectOne = Effect.fn("selectOne")(function*(
  spec: Selection
): Effect.fn.Return<Revision, SelectOneError, Repository> {
  const history = yield* (yield* Repository).history
  if (!isRevisionId(spec)) yield* requireWhole(spec, history)
  const revisions = yield* selectFrom(spec, history)
  const [revision] = revisions
  if (revision === undefined || revisions.length > 1) {
    return yield* new NotOneRevision({ spec, count: revisions.length })
  }
  return revision
})
