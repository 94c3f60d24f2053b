import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { counted } from "../domain/counted.ts"
import type { Verdict } from "../operation/recordFindings.ts"
import type { VerifyReport } from "../operation/verify.ts"
import type { LockHeld } from "../platform/FileLock.ts"
import type { IoError } from "../platform/IoError.ts"
import { afterwards } from "./afterwards.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

/** Beyond these the ranges are only counted. */
const MAX_RANGES = 20

const sentences: Record<Verdict["state"], string> = {
  verified: "verified",
  damaged: "damaged",
  unreadable: "not fully readable (an I/O error, which proves nothing about the content)",
  "map-unusable": "cannot be used",
  "metadata-unusable": "cannot be checked, since its metadata cannot be used",
  "not-upgraded": "was made by an alpha of 3.0, which only upgrade reads",
  unverifiable: "readable; backy 2.5 kept nothing that its bytes could be compared with",
  "source-mismatch": "as it was stored, but still distrusted: its source had other bytes"
}

const describe = (verdict: Verdict): ReadonlyArray<string> => [
  `${verdict.revision}  ${sentences[verdict.state]}${verdict.reason === undefined ? "" : `: ${verdict.reason}`}`,
  ...verdict.lost.slice(0, MAX_RANGES).map(({ length, offset, why }) =>
    `    lost: bytes ${offset} to ${offset + length - 1} (${why})`
  ),
  ...verdict.lost.length > MAX_RANGES
    ? [`    and ${counted(verdict.lost.length - MAX_RANGES, "more chunk")}`]
    : []
]

const print = ({ bytes, chunks, verdicts }: VerifyReport) =>
  Output.lines([
    ...verdicts.flatMap(describe),
    `checked ${counted(verdicts.length, "revision")}: ` +
    `${counted(chunks, "distinct chunk")}, ${Humanise.bytes(bytes)} right`
  ])

/** `backy verify`: reads what is stored again and checks it against its hashes. */
export const command = Command.make(
  "verify",
  { revisions: option.revisions("clean"), wait: option.wait },
  (options) =>
    Effect.flatMap(load(() => import("../operation/verify.ts")), ({ verify }) => verify(options)).pipe(
      Effect.tap((report) => afterwards(print(report))),
      Effect.tapErrorTag("DamageFound", ({ report }) => print(report)),
      Effect.catchTag("ResultNotRecorded", ({ because, report }) =>
        Effect.zipRight(
          print(report),
          Effect.zipRight(
            Effect.logWarning("this result was not recorded: trust is as it was"),
            Effect.fail<LockHeld | IoError>(because)
          )
        )),
      Effect.asVoid
    )
).pipe(Command.withDescription("Read what is stored again and check it against its hashes. Deletes nothing."))
