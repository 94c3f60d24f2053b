import * as Data from "effect/Data"

/** The target would lose something, is in use, or cannot hold the image. Nothing was written to it. */
export class TargetRefused extends Data.TaggedError("TargetRefused")<{
  readonly path: string
  readonly reason: string
}> {
  override get message() {
    return `cannot restore to ${this.path}: ${this.reason}`
  }
}
