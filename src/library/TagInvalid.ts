import * as Data from "effect/Data"

/** A text that no revision may have as its tag. Nothing was changed. */
export class TagInvalid extends Data.TaggedError("TagInvalid")<{
  readonly tag: string
  readonly reason: string
}> {
  override get message() {
    return this.reason
  }
}
