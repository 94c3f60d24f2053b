/**
 * Which revisions are meant, as users say it behind `-r`: `latest`, `3`, `tag:daily & not(trust:distrusted)`,
 * `2025-03-01..`. Only complete revisions are meant; an incomplete one can be named by its full id.
 */
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import { hint } from "./closest.ts"
import * as LocalInstant from "./LocalInstant.ts"
import { history, type Revision, type TrustLevel } from "./Revision.ts"

export { parse, print } from "./RevisionSpecText.ts"

/** A parsed spec. */
export type RevisionSpec =
  | Reference
  | { readonly _tag: "All" }
  | { readonly _tag: "Clean" }
  | { readonly _tag: "Tagged"; readonly tag: string }
  | { readonly _tag: "Trusted"; readonly trust: TrustLevel }
  | { readonly _tag: "Range"; readonly from: RangeEnd | undefined; readonly to: RangeEnd | undefined }
  | { readonly _tag: "Not" | "Reverse" | "FirstOf" | "LastOf"; readonly of: RevisionSpec }
  | { readonly _tag: "And" | "Or"; readonly parts: ReadonlyArray<RevisionSpec> }

/** What names one revision, and fails when there is none: a full id or a tag, a number from the newest on, an end. */
export type Reference =
  | { readonly _tag: "Name"; readonly name: string }
  | { readonly _tag: "Number"; readonly number: number }
  | { readonly _tag: "Latest" }
  | { readonly _tag: "First" }

/** Where a range begins or ends; both ends belong to it. */
export type RangeEnd = Reference | { readonly _tag: "Date"; readonly date: LocalInstant.LocalInstant }

/** The spec names a revision that is not there. */
export class SpecFailed extends Data.TaggedError("SpecFailed")<{
  /** The part of the spec that names it. */
  readonly name: string
  readonly reason: string
}> {
  override get message() {
    return this.reason
  }
}

export interface SelectOptions {
  /** The zone of dates that name none: the user's. */
  readonly zone: DateTime.TimeZone
  /** Whether `all`, `not()`, `tag:`, `trust:` and ranges find incomplete revisions, too. Default: no. */
  readonly incomplete?: boolean
}

/**
 * The revisions of a history (in any order) that the spec names, newest last. Only `reverse()` turns what it encloses
 * around, so it is of use outermost and within `first()` and `last()`. Filters may find nothing; a name must be there.
 */
export const select = (
  spec: RevisionSpec,
  revisions: Iterable<Revision>,
  options: SelectOptions
): Either.Either<ReadonlyArray<Revision>, SpecFailed> => {
  const all = history(revisions)
  const complete = all.filter((revision) => revision.isComplete)
  return evaluate({ all, complete, meant: options.incomplete === true ? all : complete, zone: options.zone }, spec)
}

interface Context {
  /** The whole history, oldest first. */
  readonly all: ReadonlyArray<Revision>
  readonly complete: ReadonlyArray<Revision>
  /** What filters choose from. */
  readonly meant: ReadonlyArray<Revision>
  readonly zone: DateTime.TimeZone
}

type Selection = Either.Either<ReadonlyArray<Revision>, SpecFailed>

const evaluate = (context: Context, spec: RevisionSpec): Selection => {
  switch (spec._tag) {
    case "All":
      return Either.right(context.meant)
    case "Clean":
      return Either.right(context.complete)
    case "Tagged":
      return Either.right(context.meant.filter((revision) => revision.tags.includes(spec.tag)))
    case "Trusted":
      return Either.right(context.meant.filter((revision) => revision.trust === spec.trust))
    case "Range":
      return range(context, spec.from, spec.to)
    case "Not":
      return Either.map(evaluate(context, spec.of), (found) => context.meant.filter((one) => !found.includes(one)))
    case "Reverse":
      return Either.map(evaluate(context, spec.of), (found) => found.toReversed())
    case "FirstOf":
      return Either.map(evaluate(context, spec.of), (found) => found.slice(0, 1))
    case "LastOf":
      return Either.map(evaluate(context, spec.of), (found) => found.slice(-1))
    case "And":
      return combine(context, spec.parts, (found, one) => found.every((part) => part.has(one)))
    case "Or":
      return combine(context, spec.parts, (found, one) => found.some((part) => part.has(one)))
    case "Name":
    case "Number":
    case "Latest":
    case "First":
      return Either.map(resolve(context, spec), (revision) => [revision])
  }
}

const combine = (
  context: Context,
  parts: ReadonlyArray<RevisionSpec>,
  isMeant: (found: ReadonlyArray<ReadonlySet<Revision>>, one: Revision) => boolean
): Selection =>
  Either.map(Either.all(parts.map((part) => evaluate(context, part))), (results) => {
    const found = results.map((result) => new Set(result))
    return context.all.filter((one) => isMeant(found, one))
  })

const resolve = (context: Context, reference: Reference): Either.Either<Revision, SpecFailed> => {
  const { complete } = context
  const latest = complete.at(-1)
  switch (reference._tag) {
    case "Latest":
      return latest === undefined ? nothingYet("latest") : Either.right(latest)
    case "First":
      return complete[0] === undefined ? nothingYet("first") : Either.right(complete[0])
    case "Number": {
      const found = complete[complete.length - 1 - reference.number]
      if (found !== undefined) return Either.right(found)
      const name = String(reference.number)
      if (latest === undefined) return nothingYet(name)
      return failed(
        name,
        `there is no revision ${name}: they are numbered from 0, the newest, to ${complete.length - 1}`
      )
    }
    case "Name": {
      const found = context.all.find((revision) => revision.id === reference.name) ??
        complete.findLast((revision) => revision.tags.includes(reference.name))
      return found === undefined ? unknownName(context, reference.name) : Either.right(found)
    }
  }
}

const unknownName = ({ all, complete }: Context, name: string): Either.Either<never, SpecFailed> => {
  const begun = all.filter((revision) => name.length > 3 && revision.id.startsWith(name))
  if (begun.length > 0) {
    return failed(
      name,
      `ids are written in full: ${begun.map((revision) => revision.id).join(" or ")} instead of ${name}`
    )
  }
  if (complete.length === 0) return nothingYet(name)
  const names = new Set([...complete.flatMap((revision) => revision.tags), "latest", "first", "all", "clean"])
  return failed(name, `there is no revision with the id or tag ${JSON.stringify(name)}${hint(name, names)}`)
}

const nothingYet = (name: string) => failed(name, "there is no complete revision yet")

const failed = (name: string, reason: string) => Either.left(new SpecFailed({ name, reason }))

/** From the earlier end to the later one, whichever way around they were given. */
const range = (context: Context, from: RangeEnd | undefined, to: RangeEnd | undefined): Selection =>
  Either.gen(function*() {
    const low = from === undefined ? undefined : yield* places(context, from)
    const high = to === undefined ? undefined : yield* places(context, to)
    const start = low === undefined ? 0 : Math.min(low.start, high?.start ?? low.start)
    const stop = high === undefined ? context.all.length : Math.max(high.stop, low?.stop ?? high.stop)
    const meant = new Set(context.meant)
    return context.all.slice(start, stop).filter((revision) => meant.has(revision))
  })

/** Which places of the whole history an end covers: `start` up to, and without, `stop`. */
const places = (context: Context, end: RangeEnd) => {
  if (end._tag !== "Date") {
    return Either.map(resolve(context, end), (revision) => {
      const start = context.all.indexOf(revision)
      return { start, stop: start + 1 }
    })
  }
  const { from, to } = LocalInstant.stretch(end.date, context.zone)
  const firstAfter = (millis: number): number => {
    const place = context.all.findIndex((revision) => DateTime.toEpochMillis(revision.timestamp) > millis)
    return place < 0 ? context.all.length : place
  }
  return Either.right({ start: firstAfter(from - 1), stop: firstAfter(to) })
}
