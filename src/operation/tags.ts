import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Schedule } from "../domain/JobConfig.ts"
import * as Revision from "../domain/Revision.ts"
import * as Tag from "../domain/Tag.ts"
import type { FileLock, LockHeld } from "../platform/FileLock.ts"
import * as locks from "../repository/locks.ts"
import { Repository } from "../repository/Repository.ts"
import * as Finished from "./Finished.ts"
import { selectCertain, type SelectError, type Selection } from "./select.ts"

/** No schedule makes these tags, so no schedule would ever let them expire. */
export class TagsUnknown extends Data.TaggedError("TagsUnknown")<{
  readonly unknown: ReadonlyArray<string>
  readonly known: ReadonlyArray<string>
}> {
  override get message() {
    return `unknown tags: ${this.unknown.join(", ")} (the schedule has ${this.known.join(", ") || "none"}; ` +
      `${Tag.MANUAL}… marks a backup made by hand, -f takes any tag)`
  }
}

/** Fails with `TagsUnknown` unless the schedule knows each tag or it is a `manual:` one. */
export const requireKnownTags = (
  tags: ReadonlyArray<string>,
  schedule: Schedule
): Effect.Effect<void, TagsUnknown> => {
  const known = Object.keys(schedule)
  const unknown = tags.filter((tag) => !Tag.isManual(tag) && !known.includes(tag))
  return unknown.length === 0 ? Effect.void : new TagsUnknown({ unknown, known })
}

/** How the tags given relate to those that are there. */
export type TagChange = "set" | "add" | "remove"

const changed = (current: ReadonlyArray<string>, change: TagChange, tags: ReadonlyArray<string>) => {
  switch (change) {
    case "set":
      return tags
    case "add":
      return [...current, ...tags]
    case "remove":
      return current.filter((tag) => !tags.includes(tag))
  }
}

/** Why tags are not changed. */
export type TagsError = TagsUnknown | LockHeld | SelectError

/**
 * Changes the tags of some revisions and gives those back that are different now. Fails with `TagsUnknown` before
 * anything is changed, `LockHeld`, `SelectError`.
 */
export const tags = Effect.fn("tags")(function*(options: {
  readonly revisions: Selection
  readonly change: TagChange
  readonly tags: ReadonlyArray<string>
  /** What is allowed; without it (or with `remove`) every tag is. */
  readonly schedule: Schedule | undefined
  readonly wait: Duration.Duration
}): Effect.fn.Return<ReadonlyArray<Revision.Revision>, TagsError, FileLock | Repository | Scope.Scope> {
  if (options.change !== "remove" && options.schedule !== undefined) {
    yield* requireKnownTags(options.tags, options.schedule)
  }
  yield* locks.forEdit(options.wait)
  const repository = yield* Repository
  const edited: Array<Revision.Revision> = []
  for (const revision of yield* selectCertain(options.revisions)) {
    const after = Revision.update(revision, { tags: changed(revision.tags, options.change, options.tags) })
    if (after.tags.join() !== revision.tags.join()) edited.push(after)
  }
  yield* Finished.inTurn(edited.map((revision) => repository.publish(revision)))
  return edited
}, Effect.scoped)
