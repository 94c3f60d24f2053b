/** What can be wrong with a config file: it is not there, or it has mistakes. */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Data from "effect/Data"
import { printable } from "../domain/printable.ts"

/** One mistake. */
export interface Problem {
  /** From 1; where the key stands that is wrong, or what encloses it when it is missing. */
  readonly line: number
  /** The keys that lead to it; none for a mistake of the whole file. */
  readonly path: ReadonlyArray<PropertyKey>
  readonly message: string
}

/** The file has mistakes: all of them, in the order of lines. The message has one line for each. */
export class ConfigInvalid extends Data.TaggedError("ConfigInvalid")<{
  readonly file: string
  readonly problems: NonEmptyReadonlyArray<Problem>
}> {
  override get message() {
    return this.lines.join("\n")
  }

  /** `/etc/backy.conf:12: jobs.web01.schedule: there is no schedule "dayly" (did you mean "daily"?)`, one a mistake. */
  get lines(): ReadonlyArray<string> {
    return this.problems.map(({ line, message, path }) =>
      `${this.file}:${line}: ${path.length === 0 ? "" : `${printable(path.map(String).join("."))}: `}${
        printable(message)
      }`
    )
  }
}

/** There is no config file where one is needed. */
export class ConfigMissing extends Data.TaggedError("ConfigMissing")<{
  readonly file: string
  /** What to do about it. */
  readonly advice: string
}> {
  override get message() {
    return `there is no config file ${this.file}: ${this.advice}`
  }
}
